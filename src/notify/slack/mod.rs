//! Slack's incoming webhook. Success is the word `ok`; a webhook can neither edit nor answer.

mod render;

use std::time::Duration;

use super::{
    Outcome,
    http::{HttpService, Letter, post_json},
    outcome::{json, why},
    service::Backend,
};
use crate::{
    model::Timestamp,
    net::{Request, Response, Secret},
};

/// What a webhook needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL, which is the credential.
    pub url: Secret,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        self.url.expose()
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.url]
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        post_json(self.url.expose().to_owned(), &render::body(letter))
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

/// What Slack's short text answers mean.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let text = String::from_utf8_lossy(&response.body);
    match (response.status, text.trim()) {
        (200, "ok") => Outcome::delivered(b"ok", None),
        (429, _) => match Outcome::by_status(response, now) {
            Outcome::Retry { after: None, why } => {
                let seconds = json(response).get("retry_after").and_then(serde_json::Value::as_u64);
                Outcome::retry(seconds.map(Duration::from_secs), why)
            }
            named => named,
        },
        (400, word) if word.starts_with("user_not_found") || word.starts_with("no_service") => {
            Outcome::broken(why(response))
        }
        (400, word) if ["invalid", "blocks", "text", "payload"].iter().any(|part| word.contains(part)) => {
            Outcome::rewrite(why(response))
        }
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::outcome::testing::{answer, answer_with, brief};

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(brief(&classify(&answer(status, body), Timestamp::default())), expected, "{body}");
    }

    #[test]
    fn the_words_of_slack_are_understood() {
        check(200, "ok", "delivered -");
        check(200, "<html>login</html>", "refused Message");
        check(400, "invalid_payload", "rewrite");
        check(400, "invalid_blocks", "rewrite");
        check(400, "msg_blocks_too_long", "rewrite");
        check(400, "user_not_found", "refused Channel");
        check(403, "action_prohibited", "refused Channel");
        check(404, "channel_not_found", "refused Channel");
        check(410, "channel_is_archived", "refused Channel");
        check(500, "rollup_error", "retry None");
        check(429, r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#, "retry Some(1s)");
        let named = classify(&answer_with(429, "retry-after", "30", "rate_limited"), Timestamp::default());
        assert_eq!(brief(&named), "retry Some(30s)");
    }
}
