//! Telegram's Bot API. Success is the `ok` of the body; going on edits the earlier message, all else answers it.

mod render;

use std::{sync::OnceLock, time::Duration};

use serde_json::Value;

use super::{
    Outcome,
    http::{HttpService, Letter, post_json},
    outcome::{id, json, why},
    service::Backend,
};
use crate::{
    model::Timestamp,
    net::{Request, Response, Secret},
};

/// Where bots live.
pub const API_URL: &str = "https://api.telegram.org";

/// What a bot needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's token, from @BotFather.
    pub token: Secret,
    /// The chat: a number, or `@channel`.
    pub chat_id: String,
    /// The topic of a forum group.
    pub thread_id: Option<i64>,
    /// Another Bot API server.
    pub api_url: String,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(Telegram { settings: settings.clone(), moved_to: OnceLock::new() }))
}

struct Telegram {
    settings: Settings,
    /// The supergroup that the chat has become.
    moved_to: OnceLock<String>,
}

impl HttpService for Telegram {
    fn endpoint(&self) -> &str {
        &self.settings.api_url
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.settings.token]
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let chat_id = self.moved_to.get().unwrap_or(&self.settings.chat_id);
        let (method, body) = render::body(letter, chat_id, self.settings.thread_id);
        let base = self.settings.api_url.trim_end_matches('/');
        post_json(format!("{base}/bot{}/{method}", self.settings.token.expose()), &body)
    }

    fn classify(&self, response: &Response, _: Timestamp) -> Outcome {
        classify(response)
    }

    fn learn(&self, response: &Response) {
        if let Some(chat) =
            id(json(response).pointer("/parameters/migrate_to_chat_id").unwrap_or(&Value::Null))
            && self.moved_to.set(chat.clone()).is_ok()
        {
            tracing::warn!("the Telegram group has become a supergroup: set chat_id to {chat}");
        }
    }
}

/// What the Bot API's answer means.
fn classify(response: &Response) -> Outcome {
    let answer = json(response);
    if answer.get("ok") == Some(&Value::Bool(true)) {
        return Outcome::delivered(b"ok", answer.pointer("/result/message_id").and_then(id));
    }
    let described = answer.get("description").and_then(Value::as_str).unwrap_or_default();
    let why = why(response);
    match answer.get("error_code").and_then(Value::as_u64).unwrap_or(response.status.into()) {
        429 => {
            let seconds = answer.pointer("/parameters/retry_after").and_then(Value::as_u64);
            Outcome::retry(seconds.map(Duration::from_secs), why)
        }
        500..=599 => Outcome::retry(None, why),
        400 if described.contains("message is not modified") => {
            Outcome::delivered(described.as_bytes(), None)
        }
        400 if answer.pointer("/parameters/migrate_to_chat_id").is_some() || is_about_form(described) => {
            Outcome::rewrite(why)
        }
        400 if described.contains("chat not found") || described.contains("CHAT_") => Outcome::broken(why),
        400 => Outcome::refused(why),
        _ => Outcome::broken(why),
    }
}

/// Whether plain text as a new message may pass.
fn is_about_form(described: &str) -> bool {
    ["parse entities", "ENTIT", "is too long", "to edit not found", "can't be edited", "thread not found"]
        .iter()
        .any(|part| described.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::outcome::testing::{answer, brief};

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(brief(&classify(&answer(status, body))), expected, "{body}");
    }

    #[test]
    fn the_bodies_of_the_bot_api_are_understood() {
        check(200, r#"{"ok":true,"result":{"message_id":42}}"#, "delivered 42");
        check(
            429,
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#,
            "retry Some(35s)",
        );
        check(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: Unsupported start tag"}"#,
            "rewrite",
        );
        check(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: message is too long"}"#,
            "rewrite",
        );
        check(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: message to edit not found"}"#,
            "rewrite",
        );
        check(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: message is not modified: specified new message content"}"#,
            "delivered -",
        );
        check(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
            "refused Channel",
        );
        check(401, r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, "refused Channel");
        check(
            403,
            r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
            "refused Channel",
        );
        check(502, "<html>bad gateway</html>", "retry None");
        // A proxy that answers 200 has delivered nothing.
        check(200, "<html>login</html>", "refused Channel");
    }

    #[test]
    fn a_group_that_became_a_supergroup_is_followed() {
        let settings = Settings {
            token: Secret::new("1:a"),
            chat_id: "-7".to_owned(),
            thread_id: None,
            api_url: API_URL.to_owned(),
        };
        let Backend::Http(bot) = backend(
            &settings,
            &crate::notify::Settings::new("t", crate::notify::Service::Telegram(settings.clone())),
        ) else {
            panic!("not HTTP")
        };
        let moved = answer(
            400,
            r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1007}}"#,
        );
        bot.learn(&moved);
        assert_eq!(brief(&classify(&moved)), "rewrite");
        let (url, body) = crate::notify::http::testing::rendered(
            &*bot,
            &crate::notify::outline::testing::message(),
            crate::notify::http::Form::Plain,
        );
        assert_eq!(
            (url.as_str(), &body["chat_id"]),
            ("https://api.telegram.org/bot1:a/sendMessage", &Value::from("-1007"))
        );
    }
}
