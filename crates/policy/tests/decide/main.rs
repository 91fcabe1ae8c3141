//! What `decide` does, by rule; then the worked example, and the properties that hold in every world.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cadence;
mod conditions;
mod elastic_pool;
mod existing;
mod failed_starts;
mod failures;
mod flexible;
mod growth;
mod holds;
mod leaving;
mod maintenance;
#[cfg(feature = "mutants")]
mod mutants;
mod parallel_jobs;
mod props;
mod recovery;
mod reuse;
mod routing;
mod saved;
mod scale_in;
mod stateful;
mod support;
mod verbs;
mod worked_example;
