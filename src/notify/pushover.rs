//! Pushover: 1,024 characters, plain text. Success is the `status` of the body.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Kind, Outcome,
    http::{HttpService, Letter, post_json, set},
    outcome::{id, json as parse, why},
    service::Backend,
    text::{Unit, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{Request, Response, Secret},
};

/// Where messages go.
pub const API_URL: &str = "https://api.pushover.net/1/messages.json";
/// Characters of a message.
const MESSAGE_MAX: usize = 1_024;
/// Characters of a title.
const TITLE_MAX: usize = 250;
/// Characters of a link.
const URL_MAX: usize = 512;
/// The month's messages are used up: ask again now and then.
const QUOTA_PAUSE: Duration = Duration::from_secs(3_600);

/// What an application needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The application's token.
    pub token: Secret,
    /// The user's or group's key.
    pub user_key: Secret,
    /// Critical messages ring every minute until somebody confirms them, at most for an hour.
    pub emergency: bool,
    /// Another address of the service.
    pub api_url: String,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        &self.api_url
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.token, &self.user_key]
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let priority = self.priority(letter);
        let mut body = json!({
            "token": self.token.expose(),
            "user": self.user_key.expose(),
            "title": cut(&letter.outline.headline, as_is, Unit::Chars, TITLE_MAX),
            "message": letter.plain_body(Unit::Chars, MESSAGE_MAX),
            "priority": priority,
            "timestamp": letter.message.last_seen.as_secs(),
        });
        if priority == 2 {
            set(&mut body, "retry", 60);
            set(&mut body, "expire", 3_600);
        }
        if let Some(link) = letter.outline.link.as_ref().filter(|link| link.as_str().len() <= URL_MAX) {
            set(&mut body, "url", link.as_str());
            set(&mut body, "url_title", letter.outline.words().open);
        }
        post_json(self.api_url.clone(), &body)
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

impl Settings {
    fn priority(&self, letter: &Letter<'_>) -> i8 {
        match (letter.message.kind, letter.message.severity) {
            (Kind::Resolved, _) => -1,
            (Kind::Test, _) => 0,
            (_, Severity::Critical) if self.emergency => 2,
            (_, Severity::Critical | Severity::High) => 1,
            (_, Severity::Medium) => 0,
            (_, Severity::Low | Severity::Info) => -1,
        }
    }
}

/// What the body's status means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = parse(response);
    let errors = answer.get("errors").map(ToString::to_string).unwrap_or_default();
    match (response.status, answer.get("status").and_then(Value::as_i64)) {
        (200, Some(1)) => Outcome::delivered(b"", answer.get("request").and_then(id)),
        (429, _) => match Outcome::by_status(response, now) {
            Outcome::Retry { after: None, why } => Outcome::retry(Some(QUOTA_PAUSE), why),
            named => named,
        },
        (400..=499, _) if errors.contains("token") || errors.contains("user") => {
            Outcome::broken(why(response))
        }
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

    fn app(emergency: bool) -> Settings {
        let (token, user_key) = (Secret::new("a"), Secret::new("u"));
        Settings { token, user_key, emergency, api_url: API_URL.to_owned() }
    }

    #[test]
    fn the_status_of_the_body_counts() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(check(200, r#"{"status":1,"request":"647d2300"}"#), "delivered 647d2300");
        assert_eq!(
            check(
                400,
                r#"{"user":"invalid","errors":["user identifier is not a valid user"],"status":0,"request":"5042"}"#
            ),
            "refused Channel"
        );
        assert_eq!(
            check(400, r#"{"message":"cannot be blank","errors":["message cannot be blank"],"status":0}"#),
            "refused Message"
        );
        assert_eq!(check(429, r#"{"errors":["message limit reached"],"status":0}"#), "retry Some(3600s)");
        assert_eq!(check(500, ""), "retry None");
    }

    #[test]
    fn everything_fits_in_characters() {
        for message in messages() {
            let (_, body) = rendered(&app(false), &message, Form::Rich);
            assert!(body["message"].as_str().unwrap().chars().count() <= 1_024);
            assert!(body["title"].as_str().unwrap().chars().count() <= 250);
        }
    }

    #[test]
    fn only_an_emergency_rings_until_confirmed() {
        let critical = crate::notify::Message { severity: Severity::Critical, ..message() };
        let (_, body) = rendered(&app(false), &critical, Form::Rich);
        assert!(body["priority"] == 1 && body.get("expire").is_none());
        let (_, body) = rendered(&app(true), &critical, Form::Rich);
        assert_eq!(
            (&body["priority"], &body["retry"], &body["expire"]),
            (&json!(2), &json!(60), &json!(3_600))
        );
    }
}
