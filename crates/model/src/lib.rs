//! A model of the whole loop, small enough that a checker ([stateright](https://www.stateright.rs)) explores every
//! interleaving of it: up to three VMs, two jobs at a time, one scale set.
//!
//! What decides and what acts is the real thing: `poolkeeper_policy::decide`, and its `Protocol`, cut at every call, so
//! that anything may happen between two of them: an agent registers, is given a job, ends it, goes offline; a VM
//! disappears and another one gets its instance id and name; a person enables or disables an agent; a call fails with
//! or without effect; the operator ends and starts with what its status says. Only the two clouds are made up, and
//! they do what is worst.
//!
//! Bounds, so that the number of states is finite:
//! * Time has three classes of age (`age`): now, past a settle, past every timeout.
//! * Faults are counted down ([`Variant::faults`]); what is no fault happens any number of times.
//! * A pass reads everything at one moment; what happens between its reads is left to other tests.
//! * Ids that nobody has in mind any more are given again.

mod age;
mod cloud;
mod model;
mod operator;
mod recovery;
mod report;
mod sight;
mod variant;
mod world;

pub use age::{Age, Tick};
pub use model::{Loop, Step};
pub use report::{Bounds, Report, explore};
pub use sight::Unread;
pub use variant::{Fault, Variant};
pub use world::{Crime, PLACES, State};
