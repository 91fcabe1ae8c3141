//! A history as text: `version:checksum:length:body`, of printable characters that no encoding changes.
//!
//! The body is a row of numbers: the first bucket, then for each run of equal buckets twice its code (0 for missing
//! ones, else the sessions and one), one more where the next number says how many there are beyond two. A number has
//! one character for five bits, the lowest first, each with a sixth bit that says whether another follows.

use std::collections::VecDeque;

use super::{END, History, HistoryError, MOST};

const VERSION: u32 = 1;
/// Six bits each; these characters stand for themselves in YAML, JSON and URLs.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MORE: u64 = 32;

impl History {
    /// As text to be kept: below 32 KiB, whatever the sessions.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut body = String::new();
        write(&mut body, u64::try_from(self.first).unwrap_or(0));
        let mut buckets = self.buckets.iter().peekable();
        while let Some(sessions) = buckets.next() {
            let mut others = 0_u64;
            while buckets.next_if_eq(&sessions).is_some() {
                others += 1;
            }
            let code = sessions.map_or(0, |sessions| u64::from(sessions) + 1) * 2;
            match others.checked_sub(1) {
                None => write(&mut body, code),
                Some(beyond) => {
                    write(&mut body, code + 1);
                    write(&mut body, beyond);
                }
            }
        }
        format!("{VERSION}:{:08x}:{}:{body}", checksum(&body), body.len())
    }

    /// Reads what [`encode`](Self::encode) has written; blanks around it do no harm.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(text: &str) -> Result<Self, HistoryError> {
        let mut parts = text.trim().splitn(4, ':');
        let found = parts.next().and_then(|part| part.parse().ok()).ok_or(HistoryError::Form)?;
        if found != VERSION {
            return Err(HistoryError::Version { found, read: VERSION });
        }
        let sum =
            parts.next().and_then(|part| u32::from_str_radix(part, 16).ok()).ok_or(HistoryError::Form)?;
        let length: usize = parts.next().and_then(|part| part.parse().ok()).ok_or(HistoryError::Form)?;
        let body = parts.next().unwrap_or_default();
        if let Some(missing) = length.checked_sub(body.len()).filter(|missing| *missing > 0) {
            return Err(HistoryError::Truncated { length, missing });
        }
        if body.len() > length {
            return Err(HistoryError::Overlong { length });
        }
        if checksum(body) != sum {
            return Err(HistoryError::Checksum);
        }
        self::body(body)
    }
}

fn body(body: &str) -> Result<History, HistoryError> {
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let mut digits = body.bytes();
    let first = read(&mut digits)?.ok_or(HistoryError::Body)?;
    let first = i64::try_from(first).ok().filter(|first| *first < END).ok_or(HistoryError::Date)?;
    let mut buckets = VecDeque::new();
    while let Some(run) = read(&mut digits)? {
        let others = match run % 2 {
            0 => 0,
            _ => read(&mut digits)?.ok_or(HistoryError::Body)?.saturating_add(1),
        };
        let sessions = match (run / 2).checked_sub(1) {
            None => None,
            Some(sessions) => Some(u16::try_from(sessions).map_err(|_| HistoryError::Body)?),
        };
        let count = usize::try_from(others).unwrap_or(usize::MAX).saturating_add(1);
        if count > most - buckets.len() {
            return Err(HistoryError::TooMany { most });
        }
        buckets.extend(std::iter::repeat_n(sessions, count));
    }
    let mut history = History { first, buckets };
    if history.end() > END {
        return Err(HistoryError::Date);
    }
    history.trim();
    Ok(history)
}

fn write(text: &mut String, mut number: u64) {
    loop {
        let (digit, rest) = (number % MORE, number / MORE);
        let digit = if rest > 0 { digit + MORE } else { digit };
        let character = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit));
        text.extend(character.map(|character| char::from(*character)));
        if rest == 0 {
            return;
        }
        number = rest;
    }
}

/// The next number; `None` at the end.
fn read(digits: &mut impl Iterator<Item = u8>) -> Result<Option<u64>, HistoryError> {
    let mut number = 0_u64;
    let mut shift = 0_u32;
    for byte in digits.by_ref() {
        let digit = u64::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return Err(HistoryError::Body),
        });
        // Nothing that is written needs more: 12 digits are 60 bits.
        if shift >= 60 {
            return Err(HistoryError::Body);
        }
        number |= (digit % MORE) << shift;
        shift += 5;
        if digit < MORE {
            return Ok(Some(number));
        }
    }
    if shift == 0 { Ok(None) } else { Err(HistoryError::Body) }
}

/// FNV-1a: short, the same in every version, and different for any one character that differs.
fn checksum(body: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    body.bytes().fold(2_166_136_261, step)
}
