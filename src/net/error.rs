//! Why a request got no usable response.

use std::time::Duration;

/// Failures below the level of status codes. No message holds a path, query, header or body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used.
    #[error("not an http or https URL")]
    BadUrl,
    /// The egress rule forbids the host.
    #[error("requests to {host} are not allowed")]
    Forbidden {
        /// The host asked for.
        host: String,
    },
    /// The client could not be made: bad CA file or proxy.
    #[error("cannot prepare the HTTP client: {cause}")]
    Setup {
        /// Why.
        cause: String,
    },
    /// No connection: name, refused, TLS.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        cause: String,
    },
    /// No complete response in time.
    #[error("no answer from {host} within {after:?}")]
    Timeout {
        /// The host.
        host: String,
        /// The limit.
        after: Duration,
    },
    /// The connection broke before the response was complete.
    #[error("the answer of {host} broke off: {cause}")]
    Interrupted {
        /// The host.
        host: String,
        /// Why.
        cause: String,
    },
    /// The response is larger than allowed.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The limit.
        limit: usize,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, HttpError::Connect { .. } | HttpError::Timeout { .. } | HttpError::Interrupted { .. })
    }
}
