//! Times and durations for a person.

use jiff::{SignedDuration, Timestamp};

/// `08:42Z`, with the date where that is another day than today; minutes are what a person can use.
pub(crate) fn at(time: Timestamp, now: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let form = if day(time) == day(now) { "%H:%MZ" } else { "%Y-%m-%d %H:%MZ" };
    time.strftime(form).to_string()
}

/// `45s`, `12m`, `3h 5m`, `2d 4h`: the two largest units, rounded down; nothing below 0.
pub(super) fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        small => format!("{large}{large_unit} {small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m"),
        3_600..86_400 => two(hours, "h", minutes % 60, "m"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// How long ago, as [`length`] says it.
pub(super) fn since(time: Timestamp, now: Timestamp) -> String {
    length(now.duration_since(time))
}

/// `1 agent`, `2 agents`.
pub(super) fn count(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
