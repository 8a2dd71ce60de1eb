//! What became of a delivery, read off the service's answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::{Unit, as_is, cut, tame};
use crate::{
    model::Timestamp,
    net::{HttpError, Response, retry_after},
};

/// Characters of an answer that are kept.
const EXCERPT_MAX: usize = 300;
/// Bytes of an answer that are looked at for them.
const EXCERPT_BYTES: usize = 2_000;

/// What a service said to a delivery it took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The beginning of its answer.
    pub answer: String,
    /// What a later message about the same trouble needs to edit, answer or end this one.
    pub handle: Option<String>,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This message; another may pass.
    Message,
    /// The channel: wrong key, gone, blocked. Every message would fail until somebody mends it.
    Channel,
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service took it.
    Delivered(Receipt),
    /// Not now: later, after the time the service named if it did.
    Retry {
        /// How long to wait at least.
        after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// The service does not like the form: once more as plain text, as a new message. [`send`](super::Channel::send)
    /// does that by itself and never answers this.
    Rewrite {
        /// Why.
        why: String,
    },
    /// Never.
    Refused {
        /// Why.
        why: String,
        /// What is wrong.
        fault: Fault,
    },
}

impl Outcome {
    /// Taken, with the answer's beginning.
    pub(super) fn delivered(answer: &[u8], handle: Option<String>) -> Self {
        Outcome::Delivered(Receipt { answer: excerpt(answer), handle })
    }

    /// Later.
    pub(super) fn retry(after: Option<Duration>, why: impl Into<String>) -> Self {
        Outcome::Retry { after, why: why.into() }
    }

    /// Once more as plain text.
    pub(super) fn rewrite(why: impl Into<String>) -> Self {
        Outcome::Rewrite { why: why.into() }
    }

    /// This message is refused.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Outcome::Refused { why: why.into(), fault: Fault::Message }
    }

    /// The channel does not work.
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Outcome::Refused { why: why.into(), fault: Fault::Channel }
    }

    /// What no complete answer means.
    pub(super) fn unreachable(error: &HttpError) -> Self {
        if error.is_transient() {
            Outcome::retry(None, error.to_string())
        } else {
            Outcome::broken(error.to_string())
        }
    }

    /// What a status means where the service says nothing better: success is for the caller to judge.
    pub(super) fn by_status(response: &Response, now: Timestamp) -> Self {
        let why = why(response);
        match response.status {
            408 | 425 | 429 | 500..=599 => Outcome::retry(retry_after(&response.headers, now), why),
            300..=399 => {
                Outcome::broken(format!("{why}: redirects are not followed; set the URL it points to"))
            }
            401 | 403 | 404 | 405 | 410 => Outcome::broken(why),
            _ => Outcome::refused(why),
        }
    }

    /// The same outcome with every text changed.
    #[must_use]
    pub(super) fn map_text(self, change: impl Fn(String) -> String) -> Self {
        match self {
            Outcome::Delivered(receipt) => {
                Outcome::Delivered(Receipt { answer: change(receipt.answer), handle: receipt.handle })
            }
            Outcome::Retry { after, why } => Outcome::Retry { after, why: change(why) },
            Outcome::Rewrite { why } => Outcome::Rewrite { why: change(why) },
            Outcome::Refused { why, fault } => Outcome::Refused { why: change(why), fault },
        }
    }
}

/// Status and the beginning of the answer.
pub(super) fn why(response: &Response) -> String {
    let answer = excerpt(&response.body);
    if answer.is_empty() {
        format!("status {}", response.status)
    } else {
        format!("status {}: {answer}", response.status)
    }
}

/// The beginning of an answer, on one tame line.
pub(super) fn excerpt(body: &[u8]) -> String {
    let head = body.get(..body.len().min(EXCERPT_BYTES)).unwrap_or_default();
    cut(&tame(&String::from_utf8_lossy(head), " "), as_is, Unit::Chars, EXCERPT_MAX)
}

/// The answer as JSON; null when it is none.
pub(super) fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

/// An id that services write as a number or as text.
pub(super) fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::net::HeaderMap;

    /// An answer with a status and a body.
    pub fn answer(status: u16, body: &str) -> Response {
        Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    /// The same with a header.
    pub fn answer_with(status: u16, name: &'static str, value: &'static str, body: &str) -> Response {
        let mut response = answer(status, body);
        response.headers.insert(name, value.parse().unwrap());
        response
    }

    /// A short word for an outcome, with the named time or handle.
    pub fn brief(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Delivered(receipt) => format!("delivered {}", receipt.handle.as_deref().unwrap_or("-")),
            Outcome::Retry { after, .. } => format!("retry {after:?}"),
            Outcome::Rewrite { .. } => "rewrite".to_owned(),
            Outcome::Refused { fault, .. } => format!("refused {fault:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};

    #[test]
    fn statuses_fall_into_later_broken_and_refused() {
        let of = |status| brief(&Outcome::by_status(&answer(status, ""), Timestamp::default()));
        for status in [408, 429, 500, 503] {
            assert_eq!(of(status), "retry None", "{status}");
        }
        for status in [301, 401, 403, 404, 410] {
            assert_eq!(of(status), "refused Channel", "{status}");
        }
        assert_eq!(of(400), "refused Message");
        let later = Outcome::by_status(&answer_with(429, "retry-after", "7", "slow"), Timestamp::default());
        assert_eq!(later, Outcome::retry(Some(Duration::from_secs(7)), "status 429: slow"));
    }

    #[test]
    fn answers_are_shown_short_and_tame() {
        assert_eq!(excerpt(b"a\x1b[1m\nb\xff"), "a\u{fffd}[1m b\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 5_000]).chars().count(), 300);
    }
}
