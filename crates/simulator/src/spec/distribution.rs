//! Durations drawn at random.

use std::fmt;

use jiff::SignedDuration;
use rand::{RngExt, rngs::Xoshiro256PlusPlus};
use rand_distr::{Distribution as _, LogNormal};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// How long something takes: a fixed duration, or one drawn anew each time.
///
/// In a world file it is a duration such as `90s`, or a map with `type`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(SignedDuration),
    /// Any duration from `from` to `to`, all equally likely.
    Uniform {
        /// The shortest.
        from: SignedDuration,
        /// The longest.
        to: SignedDuration,
    },
    /// A log-normal duration, the usual shape of start times: a median and a long tail.
    LogNormal {
        /// Half of the draws are shorter.
        median: SignedDuration,
        /// The standard deviation of the logarithm; 0.25 puts the 95th percentile at 1.5 medians.
        sigma: f64,
    },
}

/// Why a distribution cannot be drawn from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DistributionError {
    /// A duration is below zero, or a median not above it.
    #[error("durations must not be negative, and a median must be above 0s")]
    Negative,
    /// `from` is above `to`.
    #[error("from must not be above to")]
    Reversed,
    /// `sigma` is no usable number.
    #[error("sigma must be from 0 to 3")]
    Sigma,
}

impl Distribution {
    /// A fixed number of seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self::Constant(SignedDuration::from_secs(seconds))
    }

    /// Draws a duration, with a resolution of a millisecond.
    pub fn sample(&self, rng: &mut Xoshiro256PlusPlus) -> SignedDuration {
        match *self {
            Self::Constant(value) => value,
            Self::Uniform { from, to } => {
                let (from, to) = (millis(from), millis(to));
                SignedDuration::from_millis(rng.random_range(from..=to.max(from)))
            }
            Self::LogNormal { median, sigma } => {
                let seconds = LogNormal::new(median.as_secs_f64().ln(), sigma)
                    .map_or(median.as_secs_f64(), |normal| normal.sample(rng));
                // A day is far beyond every start time; it bounds the tail of a careless sigma.
                SignedDuration::from_millis((seconds.min(86_400.0) * 1000.0) as i64)
            }
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// Says which bound is broken.
    pub fn check(&self) -> Result<(), DistributionError> {
        match *self {
            Self::Constant(value) if value.is_negative() => Err(DistributionError::Negative),
            Self::Uniform { from, .. } if from.is_negative() => Err(DistributionError::Negative),
            Self::Uniform { from, to } if from > to => Err(DistributionError::Reversed),
            Self::LogNormal { median, .. } if !median.is_positive() => Err(DistributionError::Negative),
            Self::LogNormal { sigma, .. } if !(0.0..=3.0).contains(&sigma) => Err(DistributionError::Sigma),
            Self::Constant(_) | Self::Uniform { .. } | Self::LogNormal { .. } => Ok(()),
        }
    }
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Distribution;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 90s, or a map with type Constant, Uniform or LogNormal")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Distribution, E> {
        let value = text.parse().map_err(|_| {
            E::custom(format_args!("{text:?} is not a duration; write it like 90s, 20m or 1h30m"))
        })?;
        Ok(Distribution::Constant(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Distribution, A::Error> {
        Written::deserialize(MapAccessDeserializer::new(map)).map(Distribution::from)
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Written {
    Constant { value: SignedDuration },
    Uniform { from: SignedDuration, to: SignedDuration },
    LogNormal { median: SignedDuration, sigma: f64 },
}

impl From<Written> for Distribution {
    fn from(written: Written) -> Self {
        match written {
            Written::Constant { value } => Self::Constant(value),
            Written::Uniform { from, to } => Self::Uniform { from, to },
            Written::LogNormal { median, sigma } => Self::LogNormal { median, sigma },
        }
    }
}
