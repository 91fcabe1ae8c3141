//! A call, taken apart.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::Query,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use serde::de::DeserializeOwned;

/// A call, with its path decoded. Both clouds read paths and the names of parameters without regard to case.
pub(super) struct Call {
    pub(super) method: Method,
    /// The path's segments as written.
    pub(super) segments: Vec<String>,
    lower: Vec<String>,
    query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// `http://host:port`, as the caller knows it.
    pub(super) base: String,
}

impl Call {
    pub(super) fn new(parts: &Parts, body: Bytes) -> Self {
        let segments: Vec<String> =
            parts.uri.path().split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let lower = segments.iter().map(|segment| segment.to_lowercase()).collect();
        let query = pairs(&parts.uri).into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // A proxy of tests may stand before the simulator for clients that insist on https.
        let https = parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let base = format!("{}://{}", if https { "https" } else { "http" }, host.unwrap_or("localhost"));
        Self {
            method: parts.method.clone(),
            segments,
            lower,
            query,
            headers: parts.headers.clone(),
            body,
            base,
        }
    }

    /// The path's segments in lower case.
    pub(super) fn lower(&self) -> Vec<&str> {
        self.lower.iter().map(String::as_str).collect()
    }

    /// A segment as written.
    pub(super) fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }

    /// A parameter of the query; `name` in lower case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Writes a parameter of the query; `name` in lower case.
    pub(super) fn set_parameter(&mut self, name: &str, value: &str) {
        self.query.insert(name.to_owned(), value.to_owned());
    }

    /// Takes a parameter out of the query; `name` in lower case.
    pub(super) fn remove_parameter(&mut self, name: &str) {
        self.query.remove(name);
    }

    /// Whether a parameter says true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The bearer token.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body as JSON, or what is wrong with it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    /// The body as a form.
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        let body = String::from_utf8_lossy(&self.body);
        format!("/?{body}").parse::<Uri>().map(|uri| pairs(&uri).into_iter().collect()).unwrap_or_default()
    }
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let coded = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match coded {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
