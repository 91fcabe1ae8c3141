//! For fuzz targets and their tests alone: the parsers without a network.

use crate::client::{Request, answer};
use crate::{Class, Error, Method, Operation, Reply, Service, Url};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// An answer with this status, content type and body, read as one of `service`.
///
/// # Errors
/// As of a call.
pub fn reply(service: Service, status: u16, content_type: &str, body: &[u8]) -> Result<Reply, Error> {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    read(service, status, headers, body)
}

fn read(service: Service, status: u16, headers: HeaderMap, body: &[u8]) -> Result<Reply, Error> {
    let Ok(url) = Url::parse("https://management.azure.com/x") else {
        return Err(Error::new(Class::Unexpected, Method::GET, "/x"));
    };
    let request = Request::new(Method::GET, url, Operation::Get);
    answer(service, &request, status, headers, Ok(body.to_vec()), str::to_owned)
}

/// Reads `bytes` as header lines of an answer, by every parser of headers. The result is what must never be: an empty
/// list is good.
pub fn parse(bytes: &[u8]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let mut broken = Vec::new();
    for service in Service::ALL {
        for status in [200, 203, 302, 409, 429, 500] {
            match read(service, status, headers.clone(), b"{}") {
                Ok(reply) => {
                    let answer = reply.answer(());
                    check(
                        answer.retry_after.is_none_or(|wait| !wait.is_negative()),
                        "negative wait",
                        &mut broken,
                    );
                    check(
                        answer.remaining.iter().all(|budget| !budget.policy.is_empty()),
                        "no policy",
                        &mut broken,
                    );
                    let delay = answer.rate_limit.and_then(|limit| limit.delay);
                    check(delay.is_none_or(|delay| !delay.is_negative()), "negative delay", &mut broken);
                    if let Err(error) = reply.json::<serde_json::Value>() {
                        check_error(&error, &mut broken);
                    }
                }
                Err(error) => check_error(&error, &mut broken),
            }
        }
    }
    broken
}

/// Notes `what` where it is broken.
pub fn check(holds: bool, what: &str, broken: &mut Vec<String>) {
    if !holds {
        broken.push(what.to_owned());
    }
}

/// Every text of an error is one line of at most 300 characters.
pub fn check_error(error: &Error, broken: &mut Vec<String>) {
    let said = error.said().iter().flat_map(|said| [said.code.as_deref(), said.message.as_deref()]);
    for text in said.chain([error.reason(), error.request_id()]).flatten() {
        check_text(text, broken);
    }
}

/// One line of at most 300 characters.
pub fn check_text(text: &str, broken: &mut Vec<String>) {
    check(text.chars().count() <= 300, "long text", broken);
    check(!text.contains(char::is_control), "more than a line", broken);
}
