//! ntfy: JSON to the server's root, plain text.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Kind, Outcome,
    http::{HttpService, Letter, post_json, set, with_secret},
    outcome::{id, json as parse, why},
    service::Backend,
    text::{Unit, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{HeaderName, Request, Response, Secret},
};

/// Where topics live unless told otherwise.
pub const SERVER_URL: &str = "https://ntfy.sh";
/// Bytes of a message; a longer one becomes an attachment.
const MESSAGE_MAX: usize = 4_096;
/// Bytes of a title.
const TITLE_MAX: usize = 250;
/// The day's quota is used up.
const QUOTA: u64 = 42_908;
/// How long to wait then.
const QUOTA_PAUSE: Duration = Duration::from_secs(3_600);
/// How long to wait for other limits: the bucket gets one request every 5 seconds.
const PAUSE: Duration = Duration::from_secs(10);

/// What a topic needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub url: String,
    /// The topic. Whoever knows it can read it: a password on open servers.
    pub topic: Secret,
    /// An access token (`tk_…`).
    pub token: Option<Secret>,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        &self.url
    }

    fn secrets(&self) -> Vec<&Secret> {
        std::iter::once(&self.topic).chain(&self.token).collect()
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let (priority, tag) = priority(letter);
        let mut body = json!({
            "topic": self.topic.expose(),
            "title": cut(&letter.outline.headline, as_is, Unit::Bytes, TITLE_MAX),
            "message": letter.plain_body(Unit::Bytes, MESSAGE_MAX),
            "priority": priority,
            "tags": [tag],
        });
        if let Some(link) = &letter.outline.link {
            set(&mut body, "click", link.as_str());
        }
        let request = post_json(self.url.clone(), &body);
        match &self.token {
            Some(token) => with_secret(
                request,
                HeaderName::from_static("authorization"),
                &format!("Bearer {}", token.expose()),
            ),
            None => request,
        }
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

fn priority(letter: &Letter<'_>) -> (u8, &'static str) {
    match (letter.message.kind, letter.message.severity) {
        (Kind::Resolved, _) => (2, "white_check_mark"),
        (Kind::Test, _) => (3, "wave"),
        (_, Severity::Critical) => (5, "rotating_light"),
        (_, Severity::High) => (4, "warning"),
        (_, Severity::Medium) => (3, "warning"),
        (_, Severity::Low | Severity::Info) => (2, "information_source"),
    }
}

/// What the server's answer means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = parse(response);
    match (response.status, answer.get("code").and_then(Value::as_u64)) {
        (200, _) if answer.get("id").is_some() => Outcome::delivered(b"", answer.get("id").and_then(id)),
        (429, Some(QUOTA)) => Outcome::retry(Some(QUOTA_PAUSE), why(response)),
        (429, _) => match Outcome::by_status(response, now) {
            Outcome::Retry { after: None, why } => Outcome::retry(Some(PAUSE), why),
            named => named,
        },
        (413, _) => Outcome::rewrite(why(response)),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::{
            Form,
            testing::{messages, rendered},
        },
        outcome::testing::{answer, brief},
        outline::testing::message,
    };

    #[test]
    fn the_codes_of_the_server_are_understood() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(check(200, r#"{"id":"sPs71M8A2T","event":"message"}"#), "delivered sPs71M8A2T");
        assert_eq!(check(200, "<html>"), "refused Message");
        assert_eq!(
            check(429, r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#),
            "retry Some(10s)"
        );
        assert_eq!(
            check(429, r#"{"code":42908,"http":429,"error":"limit reached: daily message quota"}"#),
            "retry Some(3600s)"
        );
        assert_eq!(check(403, r#"{"code":40301,"http":403,"error":"forbidden"}"#), "refused Channel");
        assert_eq!(check(413, r#"{"code":41303,"http":413,"error":"JSON body too large"}"#), "rewrite");
        assert_eq!(check(507, r#"{"code":50701,"http":507,"error":"disk full"}"#), "retry None");
    }

    #[test]
    fn everything_fits_in_bytes() {
        let topic = Settings { url: SERVER_URL.to_owned(), topic: Secret::new("t"), token: None };
        for message in messages() {
            let (url, body) = rendered(&topic, &message, Form::Rich);
            assert_eq!(url, "https://ntfy.sh");
            assert!(
                body["message"].as_str().unwrap().len() <= 4_096
                    && body["title"].as_str().unwrap().len() <= 250
            );
        }
        let (_, body) = rendered(&topic, &message(), Form::Rich);
        assert_eq!(
            (&body["priority"], &body["click"]),
            (&json!(4), &json!("https://sigyn.example/findings/1"))
        );
        assert!(body["message"].as_str().unwrap().starts_with("40 failed logins"));
    }
}
