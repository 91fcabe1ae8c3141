use crate::allowance::{RateLimit, Remaining};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// A decoded answer, and what its headers say about the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The decoded body.
    pub value: T,
    /// How long the service asks us to wait. Azure DevOps sends it on successful, delayed answers too.
    pub retry_after: Option<SignedDuration>,
    /// The version to name in `If-Match`, as sent, quotes included.
    pub etag: Option<String>,
    /// What is left of Azure's budgets. Of a list, what its last page says.
    pub remaining: Vec<Remaining>,
    /// What Azure DevOps says of its budget; it keeps silent while that is nearly whole.
    pub rate_limit: Option<RateLimit>,
}

impl<T> Answer<T> {
    /// An answer whose headers say nothing.
    pub fn new(value: T) -> Self {
        Self { value, retry_after: None, etag: None, remaining: Vec::new(), rate_limit: None }
    }

    /// The same headers with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: change(self.value),
            retry_after: self.retry_after,
            etag: self.etag,
            remaining: self.remaining,
            rate_limit: self.rate_limit,
        }
    }
}

/// `Retry-After` in seconds or as a date, never negative.
///
/// A date counts from the answer's own `Date`, so that our clock does not matter; without one, from now.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(i64::from(seconds)));
    }
    let until = http_date(text)?;
    let sent =
        headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or_else(Timestamp::now);
    Some(until.duration_since(sent).max(SignedDuration::ZERO))
}

/// The dates of RFC 9110 are RFC 2822 dates with the zone `GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn parsed(retry: &'static str, date: Option<&'static str>) -> Option<SignedDuration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_dates_and_nonsense() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(parsed("17", None), Some(SignedDuration::from_secs(17)));
        assert_eq!(parsed(" 0 ", None), Some(SignedDuration::ZERO));
        assert_eq!(parsed("Wed, 21 Oct 2026 07:29:30 GMT", date), Some(SignedDuration::from_secs(90)));
        assert_eq!(parsed("Wed, 21 Oct 2026 07:00:00 GMT", date), Some(SignedDuration::ZERO));
        assert_eq!(parsed("Wed, 21 Oct 2015 07:28:00 GMT", None), Some(SignedDuration::ZERO));
        assert_eq!(parsed("-5", date), None);
        assert_eq!(parsed("soon", date), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
