//! What `decide` does, by rule; then the worked example, and the properties that hold in every world.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cadence;
mod conditions;
mod elastic_pool;
mod existing;
mod failures;
mod flexible;
mod growth;
mod holds;
mod leaving;
mod parallel_jobs;
mod props;
mod recovery;
mod routing;
mod scale_in;
mod support;
mod worked_example;
