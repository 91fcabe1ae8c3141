//! Tries the facts about Azure and Azure DevOps that poolkeeper takes for granted, against a scratch scale set and a
//! scratch agent pool.
//!
//! [`prepare`] only reads, and refuses anything that is not marked as scratch, or is in use. [`Prepared::run`] then
//! tries what [`fact::TRIED`] lists, puts everything back, and answers with a [`Report`]. [`run`] is both.

mod access;
mod agents;
mod call;
pub mod fact;
mod finding;
mod guard;
mod instances;
mod machines;
mod reads;
mod report;
mod restore;
mod tags;
mod trial;
mod writes;

pub use access::{Access, Identity};
pub use call::CallError;
pub use fact::{Fact, On, Part};
pub use finding::{Finding, Outcome};
pub use guard::{Options, Prepared, Refusal, prepare, run};
pub use report::Report;
pub use trial::pause;
