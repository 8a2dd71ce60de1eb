//! The JSON of a message, or the operator's own body.

use serde_json::{Value, json};

use crate::{
    net::HeaderValue,
    notify::{
        Kind, Template,
        http::{Form, Letter, set},
        text::{Unit, as_is, cut},
    },
};

/// Bytes of each line: a payload stays below 20 KB.
const LINE_MAX: usize = 1_000;

/// The bytes of the body.
pub(super) fn body(letter: &Letter<'_>, template: Option<&Template>, content_type: &HeaderValue) -> Vec<u8> {
    match template {
        Some(template) => {
            let is_json = content_type.to_str().is_ok_and(|kind| kind.contains("json"));
            let value = |name: &str| letter.outline.value(letter.message, name);
            let write = if is_json { in_json } else { |value: &str, out: &mut String| out.push_str(value) };
            template.fill(value, write).into_bytes()
        }
        None => payload(letter).to_string().into_bytes(),
    }
}

/// A value inside the quotes that the template has around it.
fn in_json(value: &str, out: &mut String) {
    let quoted = Value::from(value).to_string();
    out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
}

fn payload(letter: &Letter<'_>) -> Value {
    let (message, outline) = (letter.message, letter.outline);
    let texts = |texts: &[crate::redact::Redacted]| -> Vec<String> {
        texts.iter().take(20).map(|text| cut(text.as_str(), as_is, Unit::Bytes, 100)).collect()
    };
    let mut data = json!({
        "kind": message.kind.as_str(),
        "key": message.key.as_str(),
        "tenant": message.tenant.as_str(),
        "severity": message.severity.as_str(),
        "category": message.category,
        "title": outline.value(message, "title"),
        "headline": outline.headline,
        "summary": outline.lead,
        "recommendation": outline.value(message, "recommendation"),
        "hosts": texts(&message.hosts),
        "users": texts(&message.users),
        "source_ips": texts(&message.source_ips),
        "service": message.service.as_ref().map(|_| outline.value(message, "service")),
        "count": message.count,
        "first_seen": message.first_seen,
        "last_seen": message.last_seen,
        "link": outline.link.as_ref().map(crate::notify::Link::as_str),
    });
    if letter.form == Form::Rich {
        let share = LINE_MAX * 5 / outline.lines.len().max(1);
        let lines = outline.lines.iter().map(|line| cut(line, as_is, Unit::Bytes, share.min(LINE_MAX)));
        set(&mut data, "lines", lines.collect::<Vec<_>>());
        set(&mut data, "lines_left_out", outline.lines_left_out);
    }
    json!({"type": event(message.kind), "timestamp": letter.now, "data": data})
}

const fn event(kind: Kind) -> &'static str {
    match kind {
        Kind::First => "finding.opened",
        Kind::Worse => "finding.worsened",
        Kind::More => "finding.continued",
        Kind::Repeat => "finding.repeated",
        Kind::Resolved => "finding.resolved",
        Kind::Test => "test",
        Kind::Digest => "digest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        Message,
        http::testing::{NOW, messages},
        outline::{
            Outline,
            testing::{hostile, message},
        },
    };

    fn text(message: &Message, template: Option<&str>, content_type: &'static str) -> String {
        let outline = Outline::of(message, None);
        let letter = Letter { message, outline: &outline, earlier: None, form: Form::Rich, now: NOW };
        let template = template.map(|text| Template::parse(text).unwrap());
        let body = body(&letter, template.as_ref(), &HeaderValue::from_static(content_type));
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_payload_says_everything_within_20_kb() {
        let payload: Value = serde_json::from_str(&text(&message(), None, "application/json")).unwrap();
        assert_eq!(
            (&payload["type"], &payload["timestamp"]),
            (&json!("finding.opened"), &json!("2026-11-21T00:03:20Z"))
        );
        assert_eq!((&payload["data"]["count"], &payload["data"]["hosts"]), (&json!(40), &json!(["web-1"])));
        assert_eq!(payload["data"]["category"], "brute_force");
        for message in messages() {
            let length = text(&message, None, "application/json").len();
            assert!(length < 20_000, "{length}");
        }
    }

    #[test]
    fn an_own_body_stays_json_whatever_a_log_says() {
        let body =
            text(&hostile(), Some(r#"{"text": "{headline}: {evidence}", "n": {count}}"#), "application/json");
        let value: Value = serde_json::from_str(&body).unwrap();
        assert!(value["text"].as_str().unwrap().contains("'q\" \\ <at") && value["n"] == 40);
        assert_eq!(text(&message(), Some("{title}!"), "text/plain"), "SSH brute force from 203.0.113.7!");
    }
}
