//! WeCom's group robot: a small Markdown of 4,096 bytes. Every answer has status 200; `errcode` is what counts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Outcome,
    http::{Form, HttpService, Letter, post_json},
    outcome::{self, why},
    service::Backend,
    text::{Lines, Role, Style, Unit, compose, joined, wide_markdown},
};
use crate::{
    model::Timestamp,
    net::{Request, Response, Secret},
};

/// Bytes of Markdown.
const MARKDOWN_MAX: usize = 4_096;
/// Bytes of plain text.
const TEXT_MAX: usize = 2_048;
/// Too often, or too many at once.
const TOO_FAST: [i64; 2] = [45_009, 45_033];
/// A window of the limit.
const TOO_FAST_PAUSE: Duration = Duration::from_secs(60);
/// The service is busy.
const BUSY: i64 = -1;
/// The text is too long.
const TOO_LONG: i64 = 40_058;
/// No such robot.
const NO_ROBOT: i64 = 93_000;

/// What a robot needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL with the key.
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
        post_json(self.url.expose().to_owned(), &body(letter))
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

fn body(letter: &Letter<'_>) -> Value {
    match letter.form {
        Form::Rich => {
            json!({"msgtype": "markdown", "markdown": {"content": joined(&compose(letter.outline, &STYLE))}})
        }
        Form::Plain => json!({"msgtype": "text", "text": {"content": letter.plain(Unit::Bytes, TEXT_MAX)}}),
    }
}

const STYLE: Style = Style {
    unit: Unit::Bytes,
    max: MARKDOWN_MAX,
    // In code as well: `<@user>` might call somebody there too.
    escape: |_| wide_markdown,
    wrap: |role| match role {
        Role::Headline => ("**", "**"),
        Role::Label => ("<font color=\"comment\">", "</font>"),
        Role::Code => ("`", "`"),
        Role::Link => ("[", "](URL)"),
        _ => ("", ""),
    },
    newline: "\n",
    lines: Lines::Each,
};

/// What the body's code means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = outcome::json(response);
    let Some(code) = answer.get("errcode").and_then(Value::as_i64) else {
        return Outcome::by_status(response, now);
    };
    let why = why(response);
    match code {
        0 => Outcome::delivered(b"ok", None),
        code if TOO_FAST.contains(&code) => Outcome::retry(Some(TOO_FAST_PAUSE), why),
        BUSY => Outcome::retry(None, why),
        TOO_LONG => Outcome::rewrite(why),
        NO_ROBOT => Outcome::broken(why),
        _ => Outcome::refused(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::testing::{messages, rendered},
        outcome::testing::{answer, brief},
    };

    #[test]
    fn the_errcode_counts_and_not_the_status() {
        let check = |body: &str| brief(&classify(&answer(200, body), Timestamp::default()));
        assert_eq!(check(r#"{"errcode":0,"errmsg":"ok"}"#), "delivered -");
        assert_eq!(check(r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#), "retry Some(60s)");
        assert_eq!(
            check(r#"{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}"#),
            "rewrite"
        );
        assert_eq!(check(r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#), "refused Channel");
    }

    #[test]
    fn everything_fits_in_bytes_and_only_own_tags_are_there() {
        let robot = Settings { url: Secret::new("https://qyapi.example/cgi-bin/webhook/send?key=K") };
        for message in messages() {
            let chinese = crate::notify::Message { language: crate::notify::Language::Zh, ..message };
            let (_, body) = rendered(&robot, &chinese, Form::Rich);
            let text = body["markdown"]["content"].as_str().unwrap();
            assert!(text.len() <= 4_096, "{}", text.len());
            let without = text.replace("<font color=\"comment\">", "").replace("</font>", "");
            assert!(!without.contains('<'), "{without}");
            let (_, body) = rendered(&robot, &chinese, Form::Plain);
            assert!(body["text"]["content"].as_str().unwrap().len() <= 2_048);
        }
    }
}
