//! Outgoing HTTP: the only place that makes a client. In: a [`Request`] to a host the operator named. Out: a
//! [`Response`] no larger than the cap, or an [`HttpError`] that names the host and never the path, query or headers
//! (for many services the URL is the password). Redirects are never followed.

mod client;
mod egress;
mod error;
mod retry_after;
mod secret;

pub use client::{HttpClient, Request, Response, Settings};
pub use egress::{Egress, host_of, is_loopback};
pub use error::HttpError;
pub use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
pub use retry_after::retry_after;
pub use secret::Secret;
