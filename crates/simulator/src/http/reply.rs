//! Answers.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::Value;

/// An answer, before it is put on the wire.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// How much later it comes.
    pub(super) late: Option<Duration>,
    pub(super) delivery: Delivery,
}

/// How an answer is put on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As it should be.
    #[default]
    Whole,
    /// The first half, then the connection is closed.
    Half,
    /// Whole, and then blanks without end, as good as.
    Endless,
    /// The connection is closed instead.
    Closed,
}

/// What `Endless` sends at once, and how often: 256 MiB.
const BLANKS: &[u8] = &[b' '; 1 << 16];
const TIMES: usize = 1 << 12;

impl Reply {
    fn new(status: StatusCode, kind: &'static str, body: String) -> Self {
        Self { status, kind, headers: Vec::new(), body, late: None, delivery: Delivery::Whole }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn html(status: StatusCode, body: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.to_owned())
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, "", String::new())
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let Self { status, kind, headers, body, late: _, delivery } = self;
        let length = body.len();
        let body = match delivery {
            Delivery::Whole => Body::from(body),
            Delivery::Half => half(body),
            Delivery::Endless => {
                let blanks = stream::iter((0..TIMES).map(|_| Bytes::from_static(BLANKS)));
                let chunks = stream::once(async { Bytes::from(body) }).chain(blanks);
                Body::from_stream(chunks.map(Ok::<_, Infallible>))
            }
            // The server drops a head that it has not sent yet when the body fails at once.
            Delivery::Closed => Body::from_stream(stream::once(async { Err::<Bytes, _>(broken()) })),
        };
        let mut response = (status, body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        if delivery == Delivery::Half {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        if !kind.is_empty() {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

fn half(body: String) -> Body {
    let mut bytes = Bytes::from(body);
    bytes.truncate(bytes.len() / 2);
    let end = stream::once(async {
        // Lets the server send the half before it learns that there is no more.
        tokio::task::yield_now().await;
        Err(broken())
    });
    Body::from_stream(stream::once(async { Ok(bytes) }).chain(end))
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}
