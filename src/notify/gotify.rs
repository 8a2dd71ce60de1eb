//! Gotify: one's own server, plain text.

use serde_json::json;

use super::{
    Kind, Outcome,
    http::{HttpService, Letter, extended, post_json, set, with_secret},
    outcome::{id, json as parse},
    service::Backend,
    text::{Unit, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{HeaderName, Request, Response, Secret},
};

/// Bytes of a message: no limit is documented, but nobody reads more on a telephone.
const MESSAGE_MAX: usize = 8_000;
/// Bytes of a title.
const TITLE_MAX: usize = 500;

/// What an application on a server needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub url: String,
    /// The application's token.
    pub token: Secret,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        &self.url
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.token]
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let mut body = json!({
            "title": cut(&letter.outline.headline, as_is, Unit::Bytes, TITLE_MAX),
            "message": letter.plain_body(Unit::Bytes, MESSAGE_MAX),
            "priority": priority(letter),
        });
        if let Some(link) = &letter.outline.link {
            set(&mut body, "extras", json!({"client::notification": {"click": {"url": link.as_str()}}}));
        }
        let request = post_json(extended(&self.url, &["message"], &[]), &body);
        with_secret(request, HeaderName::from_static("x-gotify-key"), self.token.expose())
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

/// 8 and more ring loudly, 4 and more ring.
fn priority(letter: &Letter<'_>) -> u8 {
    match (letter.message.kind, letter.message.severity) {
        (Kind::Resolved, _) => 2,
        (Kind::Test, _) => 5,
        (_, Severity::Critical) => 10,
        (_, Severity::High) => 8,
        (_, Severity::Medium) => 5,
        (_, Severity::Low | Severity::Info) => 2,
    }
}

/// What the server's answer means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = parse(response);
    match (response.status, answer.get("id")) {
        (200, Some(number)) => Outcome::delivered(b"", id(number)),
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
    };

    #[test]
    fn answers_are_judged_by_their_id() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(check(200, r#"{"id":25,"appid":5,"message":"x"}"#), "delivered 25");
        assert_eq!(check(200, "<html>"), "refused Message");
        let unauthorized = r#"{"error":"Unauthorized","errorCode":401,"errorDescription":"you need to provide a valid access token"}"#;
        assert_eq!(check(401, unauthorized), "refused Channel");
    }

    #[test]
    fn the_token_is_in_no_url() {
        let server = Settings { url: "http://gotify.example/sub/".to_owned(), token: Secret::new("tok") };
        for message in messages() {
            let (url, body) = rendered(&server, &message, Form::Rich);
            assert_eq!(url, "http://gotify.example/sub/message");
            assert!(body["message"].as_str().unwrap().len() <= MESSAGE_MAX);
        }
    }
}
