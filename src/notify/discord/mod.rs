//! Discord's webhook, asked to wait so that it says whether the message was kept. Going on edits the earlier message.

mod render;

use std::time::Duration;

use serde_json::Value;

use super::{
    Kind, Outcome,
    http::{HttpService, Letter, extended, post_json},
    outcome::{id, json, why},
    service::Backend,
};
use crate::{
    model::Timestamp,
    net::{Method, Request, Response, Secret},
};

/// What a webhook needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL, which is the credential.
    pub url: Secret,
    /// A thread of the channel; forum channels need one.
    pub thread_id: Option<String>,
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
        let thread = self.thread_id.as_deref().map(|id| ("thread_id", id));
        let edited = letter.earlier_handle().filter(|_| letter.message.kind == Kind::More);
        let steps: &[&str] = &edited.map_or(vec![], |id| vec!["messages", id]);
        let wait = edited.is_none().then_some(("wait", "true"));
        let pairs: Vec<_> = wait.into_iter().chain(thread).collect();
        let mut request = post_json(extended(self.url.expose(), steps, &pairs), &render::body(letter));
        if edited.is_some() {
            request.method = Method::PATCH;
        }
        request
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

/// An edited message that is no longer there.
const UNKNOWN_MESSAGE: u64 = 10_008;

/// What Discord's answers mean.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = json(response);
    let code = answer.get("code").and_then(Value::as_u64);
    match response.status {
        200 if answer.get("id").is_some() => Outcome::delivered(b"", answer.get("id").and_then(id)),
        204 => Outcome::delivered(b"", None),
        429 => {
            let named = answer.get("retry_after").and_then(Value::as_f64);
            match (
                named.and_then(|secs| Duration::try_from_secs_f64(secs).ok()),
                Outcome::by_status(response, now),
            ) {
                (Some(after), _) => Outcome::retry(Some(after), why(response)),
                (None, outcome) => outcome,
            }
        }
        400 => Outcome::rewrite(why(response)),
        404 if code == Some(UNKNOWN_MESSAGE) => Outcome::rewrite(why(response)),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        Message,
        http::{
            Form,
            testing::{rendered, rendered_after},
        },
        outcome::testing::{answer, brief},
        outline::testing::message,
    };

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(brief(&classify(&answer(status, body), Timestamp::default())), expected, "{body}");
    }

    #[test]
    fn the_answers_of_discord_are_understood() {
        check(200, r#"{"id":"1203","type":0}"#, "delivered 1203");
        check(204, "", "delivered -");
        check(200, "<html>", "refused Message");
        check(
            429,
            r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#,
            "retry Some(64.57s)",
        );
        check(400, r#"{"message":"Invalid Form Body","code":50035,"errors":{}}"#, "rewrite");
        check(404, r#"{"message":"Unknown Webhook","code":10015}"#, "refused Channel");
        check(404, r#"{"message":"Unknown Message","code":10008}"#, "rewrite");
        check(401, r#"{"message":"401: Unauthorized","code":0}"#, "refused Channel");
    }

    #[test]
    fn going_on_edits_the_earlier_message() {
        let url = Secret::new("https://discord.example/api/webhooks/1/tok");
        let hook = Settings { url, thread_id: Some("9".to_owned()) };
        let (url, _) = rendered(&hook, &message(), Form::Rich);
        assert_eq!(url, "https://discord.example/api/webhooks/1/tok?wait=true&thread_id=9");
        let more = Message { kind: Kind::More, ..message() };
        let (url, _) = rendered_after(&hook, &more, Form::Rich, Some("77"));
        assert_eq!(url, "https://discord.example/api/webhooks/1/tok/messages/77?thread_id=9");
    }
}
