//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// A call to a local server takes about a millisecond, so that ten a second disturb nothing.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// Calls `probe` until it yields a value, at most for `timeout`.
///
/// `Ok(None)` and `Err` both mean "not yet". The last `Err` is part of the message on time-out, so a probe best says
/// what it sees instead: `Err(anyhow!("2 agents are online"))`.
///
/// # Errors
/// If `timeout` passes first.
pub async fn eventually<T, Probe>(what: &str, timeout: Duration, mut probe: Probe) -> Result<T>
where
    Probe: AsyncFnMut() -> Result<Option<T>>,
{
    let deadline = Instant::now() + timeout;
    let mut last = None;
    loop {
        // A probe that hangs must not outlast the deadline either.
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_elapsed) => {}
        }
        if Instant::now() >= deadline {
            let seconds = timeout.as_secs_f32();
            return Err(match last {
                Some(error) => error.context(format!("{what}: not within {seconds} s; last seen")),
                None => anyhow!("{what}: not within {seconds} s"),
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
