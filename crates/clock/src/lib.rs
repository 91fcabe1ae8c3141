//! The time of the operator and of the simulator: the wall clock, or a faster one that both share.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// A clock that runs `scale` times as fast as the wall clock since `origin`, a wall instant that all processes with
/// the same flag share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    origin: Timestamp,
    scale: f64,
}

/// Why a clock was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// It has another form.
    #[error("write the clock as origin=2026-01-01T00:00:00Z,scale=60")]
    Form,
    /// The origin is no instant.
    #[error("origin {0:?} is not an instant; write it like 2026-01-01T00:00:00Z")]
    Origin(String),
    /// The scale is no usable number.
    #[error("scale {0:?} is not a number from 1 to 10000")]
    Scale(String),
}

impl Clock {
    /// The wall clock itself.
    pub const REAL: Self = Self { origin: Timestamp::UNIX_EPOCH, scale: 1.0 };

    /// A clock that runs `scale` times as fast since `origin`.
    pub fn new(origin: Timestamp, scale: f64) -> Self {
        Self { origin, scale }
    }

    /// Whether it differs from the wall clock.
    pub fn is_scaled(&self) -> bool {
        self.scale != 1.0
    }

    /// The time now: the one place where the clock is read.
    pub fn now(&self) -> Timestamp {
        self.at(Timestamp::now())
    }

    /// The simulated time at a wall time.
    pub fn at(&self, wall: Timestamp) -> Timestamp {
        if !self.is_scaled() {
            return wall;
        }
        let passed = wall.duration_since(self.origin);
        let scaled = SignedDuration::try_from_secs_f64(passed.as_secs_f64() * self.scale)
            .unwrap_or(SignedDuration::MAX);
        self.origin.checked_add(scaled).unwrap_or(Timestamp::MAX)
    }

    /// How long the wall clock takes from `now` to `then`, both simulated; zero if `then` has passed.
    pub fn wall_until(&self, now: Timestamp, then: Timestamp) -> Duration {
        let seconds = then.duration_since(now).as_secs_f64() / self.scale;
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    }
}

/// As the flag is written.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "origin={},scale={}", self.origin, self.scale)
    }
}

impl FromStr for Clock {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        let (mut origin, mut scale) = (None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("origin", value)) => origin = Some(value),
                Some(("scale", value)) => scale = Some(value),
                Some(_) | None => return Err(ClockError::Form),
            }
        }
        let (Some(origin), Some(scale)) = (origin, scale) else { return Err(ClockError::Form) };
        let number = scale
            .parse::<f64>()
            .ok()
            .filter(|number| (1.0..=10_000.0).contains(number))
            .ok_or_else(|| ClockError::Scale(scale.to_owned()))?;
        let origin = origin.parse().map_err(|_| ClockError::Origin(origin.to_owned()))?;
        Ok(Self { origin, scale: number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_scaled_clock_runs_from_its_origin() {
        let clock: Clock = "origin=2026-01-05T08:00:00Z,scale=60".parse().unwrap();
        assert_eq!(clock.at(at("2026-01-05T08:00:30Z")), at("2026-01-05T08:30:00Z"));
        let (now, then) = (at("2026-01-05T08:30:00Z"), at("2026-01-05T09:30:00Z"));
        assert_eq!(clock.wall_until(now, then), Duration::from_secs(60));
        assert_eq!(clock.wall_until(then, now), Duration::ZERO);
        assert_eq!(clock.to_string().parse(), Ok(clock));
        assert!(!Clock::REAL.is_scaled());
    }

    #[test]
    fn bad_clocks_are_refused_with_the_mend() {
        for (text, said) in [
            ("scale=60", "write the clock as"),
            ("origin=now,scale=60", "is not an instant"),
            ("origin=2026-01-05T08:00:00Z,scale=0", "is not a number from 1 to 10000"),
            ("origin=2026-01-05T08:00:00Z,scale=fast", "is not a number from 1 to 10000"),
        ] {
            let error = text.parse::<Clock>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
