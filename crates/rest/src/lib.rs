//! What the REST clients share: one TLS provider, bounded bodies, `Retry-After`, error classes, counted calls.
//!
//! One call is one request and a typed [`Answer`] or [`Error`]. Nothing here retries, sleeps or follows a redirect: the
//! operator observes again and decides when. A credential leaves only towards the origin that its [`Client`] was built
//! for, and appears in no error, `Debug` or `Display`.

mod allowance;
mod answer;
mod authorization;
mod calls;
mod client;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod json;
mod open_enum;
mod payer;
mod reply;
mod service;

pub use allowance::{RateLimit, Remaining};
pub use answer::Answer;
pub use authorization::Authorization;
pub use calls::{CallLog, Calls, Operation};
pub use client::{Client, Request};
pub use error::{Class, Error, ServiceError};
pub use http::{BodyError, Http, Limits, SetupError, is_loopback, read_bounded, unreachable};
pub use payer::{Charge, Payer, Throttled};
pub use reply::Reply;
pub use service::Service;

pub use reqwest::{Method, Url};
