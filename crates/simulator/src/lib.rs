//! One deterministic world of scale sets, agents and jobs, with the REST faces of both clouds.
//!
//! [`World`] is pure: time is an argument, every delay is drawn from a seeded generator, and nothing is read or
//! written. The same seed and the same calls at the same times give the same journal. Two faces stand before it:
//! [`in_process`] for the policy in virtual time, and [`http`] for real clients.

pub mod http;
pub mod in_process;
pub mod spec;
pub mod world;

pub use http::Simulator;
pub use poolkeeper_clock::Clock;
pub use spec::WorldSpec;
pub use world::World;
