//! One push to the upstream Loki: the request, and what its answer means for the entries.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{Auth, ForwardError, Settings};
use crate::{
    model::{TenantId, Timestamp},
    net::{self, Egress, HeaderMap, HeaderName, HeaderValue, HttpClient, HttpError, Method, Request},
    wire::encode,
};

/// Answers are read only for the first line of a refusal.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest part of a refusal that is logged; as much as Promtail reads.
const MAX_REASON_CHARS: usize = 1024;

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream has it.
    Taken,
    /// The upstream refuses it for good. What was valid in it is kept there, as in any Loki.
    Refused {
        /// Its status code.
        status: u16,
        /// The first line of its answer.
        text: String,
    },
    /// Too large for the upstream as one push.
    TooLarge,
    /// Not now.
    Retry {
        /// What failed, as a metric label: the status code or `connection`.
        reason: String,
        /// What failed, in words.
        text: String,
        /// How long the upstream asks to wait.
        after: Option<std::time::Duration>,
    },
}

/// The upstream Loki.
pub struct Upstream {
    client: HttpClient,
    url: String,
    headers: HeaderMap,
    tenant: Option<TenantId>,
}

impl Upstream {
    /// Checks the settings; connects to nothing.
    pub fn new(settings: &Settings) -> Result<Self, ForwardError> {
        let egress = Egress::to_host_of(&settings.url).ok_or(ForwardError::BadUrl)?;
        let client = HttpClient::new(net::Settings {
            total_timeout: settings.timeout,
            max_response_bytes: MAX_ANSWER_BYTES,
            ca_file: settings.ca_file.clone(),
            ..net::Settings::to(egress)
        });
        let headers = headers(settings)?;
        Ok(Upstream { client, url: settings.url.clone(), headers, tenant: settings.tenant.clone() })
    }

    /// Sends one body.
    pub async fn push(&self, tenant: &TenantId, body: Bytes, now: Timestamp) -> Outcome {
        let mut headers = self.headers.clone();
        let tenant = self.tenant.as_ref().unwrap_or(tenant);
        // Tenant names are ASCII without control characters.
        if let Ok(value) = HeaderValue::from_str(tenant.as_str()) {
            headers.insert(HeaderName::from_static("x-scope-orgid"), value);
        }
        let request = Request { method: Method::POST, url: self.url.clone(), headers, body, timeout: None };
        match self.client.send(request).await {
            Ok(response) => judge(response.status, &response.headers, &response.body, now),
            // The status decides, and an upstream that answers a book has not taken the push.
            Err(error) => failed(&error),
        }
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, ForwardError> {
    let mut headers: HeaderMap = settings.headers.iter().cloned().collect();
    let credential = match &settings.auth {
        Auth::None => None,
        Auth::Basic { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
        }
        Auth::Bearer(token) => Some(format!("Bearer {}", token.expose())),
    };
    if let Some(text) = credential {
        let mut value = HeaderValue::from_str(&text).map_err(|_| ForwardError::BadCredential)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static("authorization"), value);
    }
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(encode::CONTENT_TYPE));
    Ok(headers)
}

/// The rules of Promtail's client: any 2xx is success; 429 and 5xx are repeated; everything else is final.
fn judge(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Outcome {
    match status {
        200..=299 => Outcome::Taken,
        413 => Outcome::TooLarge,
        429 | 500..=599 => Outcome::Retry {
            reason: status.to_string(),
            text: format!("status {status}: {}", first_line(body)),
            after: net::retry_after(headers, now),
        },
        _ => Outcome::Refused { status, text: first_line(body) },
    }
}

fn failed(error: &HttpError) -> Outcome {
    Outcome::Retry { reason: "connection".to_owned(), text: error.to_string(), after: None }
}

fn first_line(body: &[u8]) -> String {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::Secret;

    #[track_caller]
    fn check(status: u16, expected: &str) {
        let outcome = match judge(status, &HeaderMap::new(), b"no\nmore", Timestamp::default()) {
            Outcome::Taken => "taken".to_owned(),
            Outcome::TooLarge => "too large".to_owned(),
            Outcome::Refused { status, text } => format!("refused {status} {text}"),
            Outcome::Retry { reason, .. } => format!("retry {reason}"),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn statuses_mean_what_they_mean_to_promtail() {
        check(200, "taken");
        check(204, "taken");
        check(260, "taken");
        check(302, "refused 302 no");
        check(400, "refused 400 no");
        check(401, "refused 401 no");
        check(413, "too large");
        check(422, "refused 422 no");
        check(429, "retry 429");
        check(500, "retry 500");
        check(503, "retry 503");
    }

    #[test]
    fn the_upstream_may_name_the_wait() {
        let headers: HeaderMap =
            [(HeaderName::from_static("retry-after"), HeaderValue::from_static("7"))].into_iter().collect();
        let Outcome::Retry { after, .. } = judge(429, &headers, b"", Timestamp::default()) else { panic!() };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn credentials_and_own_headers_go_along_but_never_replace_the_protocols() {
        let mut settings = Settings::to("http://loki:3100/loki/api/v1/push");
        settings.auth = Auth::Basic { user: "u".into(), password: Secret::new("p") };
        let own = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        settings.headers = vec![own("x-zone", "eu"), own("content-type", "text/plain")];
        let headers = headers(&settings).unwrap();
        assert_eq!(headers["authorization"], "Basic dTpw");
        assert_eq!(headers["x-zone"], "eu");
        assert_eq!(headers["content-type"], "application/x-protobuf");
    }

    #[test]
    fn a_refusal_is_logged_as_one_clean_line() {
        assert_eq!(first_line(b"bad \x1b[31mline\nsecond"), "bad [31mline");
        assert_eq!(first_line(&[b'x'; 5_000]).len(), 1_024);
    }
}
