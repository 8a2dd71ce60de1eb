//! What the operator may set about forwarding.

use std::{path::PathBuf, time::Duration};

use crate::{
    model::{Selector, TenantId},
    net::{HeaderName, HeaderValue, Secret},
};

/// Where and how to forward.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The upstream's push URL, used as it is: `http://loki:3100/loki/api/v1/push`.
    pub url: String,
    /// Send everything as this tenant; without it each tenant's lines go out under its own name.
    pub tenant: Option<TenantId>,
    /// How to authenticate.
    pub auth: Auth,
    /// Further header fields; they never override those of the protocol.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Further trusted certificates (PEM) for TLS.
    pub ca_file: Option<PathBuf>,
    /// Forward only the streams that this selects (`{job="nginx"}`); empty forwards every stream.
    pub selector: Selector,
    /// Push once this many bytes (lines and metadata) are collected. Loki's own agents use 1 MiB.
    pub batch_bytes: usize,
    /// Push once this many entries are collected.
    pub batch_entries: usize,
    /// Longest wait for the answer to one push.
    pub timeout: Duration,
    /// Wait before the first retry; doubles with every further one.
    pub min_backoff: Duration,
    /// Longest wait between retries, also when the upstream names a longer one.
    pub max_backoff: Duration,
}

impl Settings {
    /// Forwards everything to `url` with the numbers of Promtail's client.
    pub fn to(url: impl Into<String>) -> Self {
        Settings {
            url: url.into(),
            tenant: None,
            auth: Auth::None,
            headers: Vec::new(),
            ca_file: None,
            selector: Selector::default(),
            batch_bytes: 1024 * 1024,
            batch_entries: 10_000,
            timeout: Duration::from_secs(10),
            min_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(300),
        }
    }
}

/// How Sigyn introduces itself to the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User name and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token.
    Bearer(Secret),
}
