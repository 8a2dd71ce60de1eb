//! The robot of Feishu and Lark: a card whose texts are all plain. The signature is in the body; so is the verdict.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Kind, Outcome,
    http::{Form, HttpService, Letter, post_json, set},
    outcome::{self, why},
    outline::Outline,
    service::Backend,
    sign::hmac_sha256,
    text::{Unit, angle, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{Request, Response, Secret},
};

/// Bytes of all lines of a card, and of a plain text: a body may have 20 KiB, and JSON may double what it escapes.
const LINES_MAX: usize = 3_000;
/// Bytes of each longer text of a card.
const PROSE_MAX: usize = 1_500;
/// Bytes of a value.
const VALUE_MAX: usize = 300;
/// Too many messages.
const TOO_FAST: [i64; 2] = [9_499, 11_232];
/// A window of the limit.
const TOO_FAST_PAUSE: Duration = Duration::from_secs(60);
/// Token, sign, address or keyword do not pass.
const FORBIDDEN: [i64; 4] = [19_001, 19_021, 19_022, 19_024];

/// What a robot needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL with the token.
    pub url: Secret,
    /// The secret of a robot that wants signatures.
    pub secret: Option<Secret>,
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
        let mut body = match letter.form {
            Form::Rich => json!({"msg_type": "interactive", "card": card(letter.outline)}),
            Form::Plain => {
                let text = cut(&letter.plain(Unit::Bytes, LINES_MAX), angle, Unit::Bytes, LINES_MAX * 2);
                json!({"msg_type": "text", "content": {"text": text}})
            }
        };
        if let Some(secret) = &self.secret {
            let seconds = letter.now.as_secs().to_string();
            set(&mut body, "sign", sign(&seconds, secret));
            set(&mut body, "timestamp", seconds);
        }
        post_json(self.url.expose().to_owned(), &body)
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

/// Nothing is signed: time and secret are the key.
fn sign(seconds: &str, secret: &Secret) -> String {
    hmac_sha256(format!("{seconds}\n{}", secret.expose()).as_bytes(), b"")
}

fn card(outline: &Outline) -> Value {
    let text =
        |content: &str, max| json!({"tag": "plain_text", "content": cut(content, as_is, Unit::Bytes, max)});
    let mut elements = Vec::new();
    let mut div = |content: &str, max| {
        if !content.is_empty() {
            elements.push(json!({"tag": "div", "text": text(content, max)}));
        }
    };
    div(&outline.lead, PROSE_MAX);
    if let Some(advice) = &outline.advice {
        div(&format!("{}: {}", advice.label, advice.value), PROSE_MAX);
    }
    let share = LINES_MAX / outline.lines.len().max(1);
    let lines: Vec<String> =
        outline.lines.iter().map(|line| cut(line, as_is, Unit::Bytes, share - 1)).collect();
    let left_out = outline.left_out();
    div(&lines.into_iter().chain(left_out).collect::<Vec<_>>().join("\n"), LINES_MAX + VALUE_MAX);
    let field = |label: &str, value: &str| json!({"is_short": true, "text": text(&format!("{label}: {value}"), VALUE_MAX)});
    let fields: Vec<Value> = outline.facts.iter().map(|fact| field(fact.label, &fact.value)).collect();
    if !fields.is_empty() {
        elements.push(json!({"tag": "div", "fields": fields}));
    }
    if let Some(link) = &outline.link {
        let label = text(outline.words().open, VALUE_MAX);
        let button = json!({"tag": "button", "type": "default", "text": label, "url": link.as_str()});
        elements.push(json!({"tag": "action", "actions": [button]}));
    }
    json!({
        "config": {"wide_screen_mode": true},
        "header": {"template": colour(outline), "title": text(&outline.headline, VALUE_MAX * 2)},
        "elements": elements,
    })
}

fn colour(outline: &Outline) -> &'static str {
    match (outline.kind, outline.severity) {
        (Kind::Resolved, _) => "green",
        (_, Severity::Critical) => "red",
        (_, Severity::High) => "orange",
        (_, Severity::Medium) => "yellow",
        (_, Severity::Low) => "blue",
        (_, Severity::Info) => "grey",
    }
}

/// What the body's code means, whatever the status.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = outcome::json(response);
    let code = answer.get("code").or(answer.get("StatusCode")).and_then(Value::as_i64);
    let Some(code) = code else { return Outcome::by_status(response, now) };
    let why = why(response);
    match code {
        0 => Outcome::delivered(b"success", None),
        code if TOO_FAST.contains(&code) => Outcome::retry(Some(TOO_FAST_PAUSE), why),
        code if FORBIDDEN.contains(&code) => Outcome::broken(why),
        // Cards have many ways of being wrong.
        _ => Outcome::rewrite(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::testing::{messages, rendered},
        outcome::testing::{answer, brief},
        outline::testing::{hostile, message},
    };

    fn robot() -> Settings {
        let url = Secret::new("https://open.feishu.example/open-apis/bot/v2/hook/tok");
        Settings { url, secret: Some(Secret::new("hunter2")) }
    }

    #[test]
    fn the_body_carries_time_and_signature() {
        let (_, body) = rendered(&robot(), &message(), Form::Rich);
        assert_eq!(body["timestamp"], "1795219400");
        // Made with Python: base64(hmac_sha256(b"1795219400\nhunter2", b"")).
        assert_eq!(body["sign"], "HjPP3q/XWsw3m0OIb2StPE/UmwCOpZOynbLMTF8gbak=");
        assert_eq!(body["card"]["header"]["template"], "orange");
        assert_eq!(body["card"]["header"]["title"]["content"], "[HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(body["card"]["elements"][3]["fields"][0]["text"]["content"], "Hosts: web-1");
    }

    #[test]
    fn the_code_counts_whatever_the_status() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(check(200, r#"{"code":0,"msg":"success","data":{}}"#), "delivered -");
        assert_eq!(check(200, r#"{"StatusCode":0,"StatusMessage":"success"}"#), "delivered -");
        assert_eq!(check(400, r#"{"code":9499,"msg":"too many request"}"#), "retry Some(60s)");
        assert_eq!(
            check(200, r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}"#),
            "refused Channel"
        );
        assert_eq!(check(200, r#"{"code":11246,"msg":"card contains invalid values"}"#), "rewrite");
    }

    #[test]
    fn everything_fits_and_a_card_has_plain_text_only() {
        for message in messages() {
            let (_, body) = rendered(&robot(), &message, Form::Rich);
            assert!(body.to_string().len() <= 20 * 1_024, "{}", body.to_string().len());
            assert!(!body.to_string().contains("lark_md"));
        }
        let (_, body) = rendered(&robot(), &hostile(), Form::Plain);
        assert!(!body["content"]["text"].as_str().unwrap().contains("<at"));
    }
}
