//! DingTalk's custom robot: signed URL, Markdown. Every answer has status 200; the body's `errcode` is what counts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Outcome,
    http::{Form, HttpService, Letter, extended, post_json},
    outcome::{self, why},
    service::Backend,
    sign::hmac_sha256,
    text::{Lines, Role, Style, Unit, compose, cut, joined, wide_markdown},
};
use crate::{
    model::Timestamp,
    net::{Request, Response, Secret},
};

/// Bytes of the text. A body may have 20,000, and JSON may double what it escapes.
const TEXT_MAX: usize = 8_000;
/// Bytes of the title.
const TITLE_MAX: usize = 300;
/// Too many messages: the robot is deaf for minutes.
const TOO_FAST: i64 = 130_101;
/// How long it is left alone then.
const TOO_FAST_PAUSE: Duration = Duration::from_secs(60);
/// The service is busy.
const BUSY: i64 = -1;
/// The body is too large.
const TOO_LARGE: i64 = 460_101;
/// Sign, keyword or address do not pass.
const FORBIDDEN: i64 = 310_000;
/// No such token.
const NO_TOKEN: i64 = 300_001;

/// What a robot needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL with the access token.
    pub url: Secret,
    /// The secret (`SEC…`) of a robot that wants signatures.
    pub secret: Option<Secret>,
    /// The word every message must contain, of a robot that wants one.
    pub keyword: Option<String>,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        self.url.expose()
    }

    fn secrets(&self) -> Vec<&Secret> {
        std::iter::once(&self.url).chain(&self.secret).collect()
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let url = self.url.expose();
        let url = match &self.secret {
            Some(secret) => {
                let millis = (letter.now.as_nanos() / 1_000_000).to_string();
                let sign = sign(&millis, secret);
                extended(url, &[], &[("timestamp", &millis), ("sign", &sign)])
            }
            None => url.to_owned(),
        };
        post_json(url, &self.body(letter))
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

impl Settings {
    fn body(&self, letter: &Letter<'_>) -> Value {
        let keyword = self.keyword.iter().map(|word| format!("{word} ")).collect::<String>();
        if letter.form == Form::Plain {
            let text = format!("{keyword}{}", letter.plain(Unit::Bytes, TEXT_MAX / 2));
            return json!({"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": false}});
        }
        let title = cut(&letter.outline.headline, wide_markdown, Unit::Bytes, TITLE_MAX);
        let text = format!("{keyword}{}", joined(&compose(letter.outline, &STYLE)));
        let markdown = json!({"title": format!("{keyword}{title}"), "text": text});
        json!({"msgtype": "markdown", "markdown": markdown, "at": {"isAtAll": false}})
    }
}

const STYLE: Style = Style {
    unit: Unit::Bytes,
    max: TEXT_MAX,
    escape: |_| wide_markdown,
    wrap: |role| match role {
        Role::Headline | Role::Label => ("**", "**"),
        Role::Code => ("> ", ""),
        Role::Link => ("[", "](URL)"),
        _ => ("", ""),
    },
    newline: "\n\n",
    lines: Lines::Each,
};

/// Time and secret are signed with the secret; the message is not.
fn sign(millis: &str, secret: &Secret) -> String {
    let secret = secret.expose();
    hmac_sha256(secret.as_bytes(), format!("{millis}\n{secret}").as_bytes())
}

/// What the body's code means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = outcome::json(response);
    let Some(code) = answer.get("errcode").and_then(Value::as_i64) else {
        return Outcome::by_status(response, now);
    };
    let why = why(response);
    match code {
        0 => Outcome::delivered(b"ok", None),
        TOO_FAST => Outcome::retry(Some(TOO_FAST_PAUSE), why),
        BUSY => Outcome::retry(None, why),
        TOO_LARGE => Outcome::rewrite(why),
        FORBIDDEN | NO_TOKEN => Outcome::broken(why),
        _ => Outcome::refused(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::testing::{messages, rendered},
        outcome::testing::{answer, brief},
        outline::testing::message,
    };

    fn robot() -> Settings {
        Settings {
            url: Secret::new("https://oapi.dingtalk.example/robot/send?access_token=tok"),
            secret: Some(Secret::new("SEC0123")),
            keyword: Some("ALERT".to_owned()),
        }
    }

    #[test]
    fn the_url_is_signed_and_encoded_once() {
        // Made with Python: base64(hmac_sha256(b"SEC0123", b"1577262236757\nSEC0123")).
        assert_eq!(
            sign("1577262236757", &Secret::new("SEC0123")),
            "XdkzEBHwxHnGFkKeg9eLYXf+M3vcXnpOzi3AYYWI8tk="
        );
        let (url, _) = rendered(&robot(), &message(), Form::Rich);
        let (_, query) = url.split_once("&timestamp=1795219400000&sign=").unwrap();
        assert!(!query.contains("%25") && !query.contains(['+', '/', '=']), "{url}");
    }

    #[test]
    fn the_errcode_counts_and_not_the_status() {
        let check = |body: &str| brief(&classify(&answer(200, body), Timestamp::default()));
        assert_eq!(check(r#"{"errcode":0,"errmsg":"ok"}"#), "delivered -");
        assert_eq!(
            check(r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#),
            "retry Some(60s)"
        );
        assert_eq!(check(r#"{"errcode":310000,"errmsg":"sign not match"}"#), "refused Channel");
        assert_eq!(check(r#"{"errcode":460101,"errmsg":"message too long"}"#), "rewrite");
        assert_eq!(check(r#"{"errcode":-1,"errmsg":"系统繁忙"}"#), "retry None");
        assert_eq!(check("<html>login</html>"), "refused Message");
    }

    #[test]
    fn everything_fits_and_every_message_has_the_keyword() {
        for message in messages() {
            for form in [Form::Rich, Form::Plain] {
                let (_, body) = rendered(&robot(), &message, form);
                assert!(body.to_string().len() <= 20_000);
                let text = body["markdown"]["text"].as_str().or(body["text"]["content"].as_str()).unwrap();
                assert!(text.starts_with("ALERT "), "{text}");
                assert!(form == Form::Plain || !text.contains(['<', '`']), "{text}");
            }
        }
        let (_, body) = rendered(&robot(), &message(), Form::Rich);
        let text = body["markdown"]["text"].as_str().unwrap();
        assert!(
            text.contains("\n\n> Failed password for root")
                && text.ends_with("[Open in Sigyn](https://sigyn.example/findings/1)")
        );
    }
}
