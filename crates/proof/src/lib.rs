//! The proof in virtual time that no job is killed and no machine is lost: the operator's own decisions
//! ([`poolkeeper_policy::decide`]) and its own calls ([`poolkeeper_policy::Protocol`]) against the simulator's world,
//! which moves between any two calls, under faults, crashes and a second operator, and before a judge.
//!
//! A [`Stage`] is the world with everything that happens to it; an [`Operator`] holds what a real one holds, and no
//! more; a [`Judge`] counts what must never be. [`Show`] plays a whole random world by its seed.

mod adversary;
mod claim;
mod judge;
mod life;
mod mutation;
mod operator;
mod scene;
mod show;
mod stage;
mod trouble;

pub use adversary::{Adversary, Moment, Spite};
pub use judge::{Judge, Kill, Verdict};
pub use life::{Life, Mishap, Played};
pub use mutation::scenario;
pub use operator::{Crash, Crashed, Operator, Pass, Status};
pub use scene::{STATEFUL, Scene, start};
pub use show::{Show, Sums};
pub use stage::{Blind, Script, Stage};
pub use trouble::{Hazard, Trouble};
