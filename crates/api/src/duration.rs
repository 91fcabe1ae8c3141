//! Durations as people write them: whole hours, minutes and seconds, such as `30m` or `1h30m`.

use jiff::SignedDuration;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers each followed by h, m or s.
    #[error("{0:?} is not a duration; write whole hours, minutes and seconds, like 30m or 1h30m")]
    Syntax(String),
    /// Neither that nor `dd.hh:mm:ss`.
    #[error("{0:?} is not a duration; write it like 30m, 168h or 7.00:00:00")]
    AgentLifetimeSyntax(String),
    /// More seconds than 64 bits hold.
    #[error("{0:?} is too long a duration; shorten it")]
    TooLong(String),
}

/// Reads whole hours, minutes and seconds in any order, such as `1h30m`: a subset of what Go reads.
///
/// # Errors
/// If the text is anything else (signs, fractions, blanks, other units), or too long for 64 bits of seconds.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let mut seconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(syntax)?;
        let (number, tail) = rest.split_at(end);
        if number.is_empty() {
            return Err(syntax());
        }
        let unit = match tail.as_bytes().first() {
            Some(b'h') => HOUR,
            Some(b'm') => MINUTE,
            Some(b's') => 1,
            Some(_) | None => return Err(syntax()),
        };
        let number: i64 = number.parse().map_err(|_| too_long())?;
        seconds = number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(too_long)?;
        rest = tail.get(1..).unwrap_or_default();
    }
    if text.is_empty() { Err(syntax()) } else { Ok(SignedDuration::from_secs(seconds)) }
}

/// Reads what [`parse`] reads, and `hh:mm:ss` or `dd.hh:mm:ss` as Managed DevOps Pools writes it.
///
/// # Errors
/// If the text is neither, or too long for 64 bits of seconds.
pub fn parse_agent_lifetime(text: &str) -> Result<SignedDuration, DurationError> {
    match parse(text) {
        Ok(duration) => Ok(duration),
        Err(error @ DurationError::TooLong(_)) => Err(error),
        Err(DurationError::Syntax(_) | DurationError::AgentLifetimeSyntax(_)) => {
            parse_days_and_time(text).ok_or_else(|| DurationError::AgentLifetimeSyntax(text.to_owned()))
        }
    }
}

fn parse_days_and_time(text: &str) -> Option<SignedDuration> {
    let (days, time) = match text.split_once('.') {
        Some((days, time)) => (number(days, 1..=2, 99)?, time),
        None => (0, text),
    };
    let mut parts = time.split(':');
    let hours = number(parts.next()?, 1..=2, 23)?;
    let minutes = number(parts.next()?, 2..=2, 59)?;
    let seconds = number(parts.next()?, 2..=2, 59)?;
    parts
        .next()
        .is_none()
        .then(|| SignedDuration::from_secs(days * DAY + hours * HOUR + minutes * MINUTE + seconds))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>, max: i64) -> Option<i64> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|n| *n <= max)
}

/// Writes whole seconds in Go's style: `0s`, `45s`, `30m0s`, `168h0m0s`. Parts of a second are dropped.
#[must_use]
pub fn format(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) => format!("{sign}{s}s"),
        (0, _) => format!("{sign}{m}m{s}s"),
        (_, _) => format!("{sign}{h}h{m}m{s}s"),
    }
}
