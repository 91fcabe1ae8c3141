//! Scenarios side by side, with all failures in one report.

use std::time::Instant;

use anyhow::{Result, bail};
use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};

/// Named scenarios that run at the same time.
#[derive(Default)]
pub(crate) struct Scenarios<'a> {
    all: FuturesUnordered<LocalBoxFuture<'a, (&'static str, Result<()>)>>,
}

impl<'a> Scenarios<'a> {
    pub(crate) fn add(&mut self, name: &'static str, scenario: impl Future<Output = Result<()>> + 'a) {
        self.all.push(async move { (name, scenario.await) }.boxed_local());
    }

    /// Runs all of them to their ends, says how long each took, and fails if one did.
    pub(crate) async fn run(mut self) -> Result<()> {
        let (start, mut failed) = (Instant::now(), Vec::new());
        while let Some((name, result)) = self.all.next().await {
            let seconds = start.elapsed().as_secs_f32();
            match result {
                Ok(()) => println!("{name}: as it should be, after {seconds:.1} s"),
                Err(error) => {
                    println!("{name}: FAILED after {seconds:.1} s: {error:#}");
                    failed.push(format!("{name}: {error:#}"));
                }
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!("{} failed:\n{}", failed.len(), failed.join("\n"))
    }
}
