//! Text with entities: no parse mode, so that there is nothing to escape and nothing to break.

use serde_json::{Value, json};

use crate::{
    model::Severity,
    notify::{
        Kind,
        http::{Form, Letter, set},
        text::{Lines, NO_WRAP, Role, Style, Unit, as_is, compose, joined, telegram},
    },
};

/// Telegram counts UTF-16 units after parsing.
const TEXT_MAX: usize = 4_096;

/// Method and body.
pub(super) fn body(letter: &Letter<'_>, chat_id: &str, thread_id: Option<i64>) -> (&'static str, Value) {
    let mut style = Style {
        unit: Unit::Utf16,
        max: TEXT_MAX,
        // Nothing is looked for in code, names included.
        escape: |role| if matches!(role, Role::Code | Role::Value) { as_is } else { telegram },
        wrap: |role| if role == Role::Link { ("→ ", "") } else { ("", "") },
        newline: "\n",
        lines: Lines::Block,
    };
    if letter.form == Form::Plain {
        style.escape = |_| telegram;
        style.wrap = NO_WRAP;
    }
    let runs = compose(letter.outline, &style);
    let mut body = json!({
        "chat_id": chat_id,
        "text": joined(&runs),
        "link_preview_options": {"is_disabled": true},
    });
    if letter.form == Form::Rich {
        let mut offset = 0;
        let mut entities = Vec::new();
        for run in &runs {
            let length = Unit::Utf16.len(&run.text);
            if let Some(mut entity) = entity(run.role, letter) {
                set(&mut entity, "offset", offset);
                set(&mut entity, "length", length);
                entities.push(entity);
            }
            offset += length;
        }
        set(&mut body, "entities", entities);
    }
    let earlier = letter.earlier_handle().and_then(|handle| handle.parse::<i64>().ok());
    if let (Some(message_id), Kind::More) = (earlier, letter.message.kind) {
        set(&mut body, "message_id", message_id);
        return ("editMessageText", body);
    }
    if let Some(message_id) = earlier {
        set(
            &mut body,
            "reply_parameters",
            json!({"message_id": message_id, "allow_sending_without_reply": true}),
        );
    }
    if let Some(thread) = thread_id {
        set(&mut body, "message_thread_id", thread);
    }
    // What can wait does not ring.
    set(
        &mut body,
        "disable_notification",
        letter.message.severity <= Severity::Low && letter.message.kind != Kind::Test,
    );
    ("sendMessage", body)
}

fn entity(role: Role, letter: &Letter<'_>) -> Option<Value> {
    match role {
        Role::Headline | Role::Label => Some(json!({"type": "bold"})),
        Role::Value => Some(json!({"type": "code"})),
        Role::Code => Some(json!({"type": "pre"})),
        Role::Link => {
            letter.outline.link.as_ref().map(|link| json!({"type": "text_link", "url": link.as_str()}))
        }
        Role::Prose | Role::Fixed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::Secret,
        notify::{
            Message, Service, Settings,
            http::testing::{messages, rendered, rendered_after},
            outline::testing::{hostile, message},
            service::Backend,
            telegram,
        },
    };

    fn bot() -> Box<dyn crate::notify::http::HttpService> {
        let settings = telegram::Settings {
            token: Secret::new("1:a"),
            chat_id: "7".to_owned(),
            thread_id: Some(3),
            api_url: telegram::API_URL.to_owned(),
        };
        let Backend::Http(bot) =
            telegram::backend(&settings, &Settings::new("t", Service::Telegram(settings.clone())))
        else {
            panic!("not HTTP")
        };
        bot
    }

    /// The text an entity covers.
    fn covered(body: &Value, kind: &str) -> Vec<String> {
        let units: Vec<u16> = body["text"].as_str().unwrap().encode_utf16().collect();
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let entities = body["entities"].as_array().unwrap();
        let found = entities.iter().filter(|entity| entity["type"] == kind);
        found
            .map(|e| String::from_utf16(&units[number(&e["offset"])..][..number(&e["length"])]).unwrap())
            .collect()
    }

    #[test]
    fn a_finding_reads_well() {
        let (_, body) = rendered(&*bot(), &message(), Form::Rich);
        insta::assert_snapshot!(body["text"].as_str().unwrap(), @"
        [HIGH] SSH brute force from 203.0.113.7
        40 failed logins in 2 minutes.
        Hosts: web-1
        Service: sshd
        From: 203.0.113.7
        Users: root, admin
        Category: brute_force
        Count: 40
        Since: 2026-11-21 00:00:00 UTC
        Last: 2026-11-21 00:02:00 UTC
        What to do: Block the address.
        Failed password for root from 203.0.113.7 port 4711 ssh2
        → Open in Sigyn
        ");
        assert_eq!(covered(&body, "bold")[0], "[HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(covered(&body, "pre"), ["Failed password for root from 203.0.113.7 port 4711 ssh2"]);
        assert_eq!(covered(&body, "text_link"), ["→ Open in Sigyn"]);
        assert_eq!((&body["chat_id"], &body["message_thread_id"]), (&json!("7"), &json!(3)));
    }

    #[test]
    fn every_message_fits_and_entities_cover_what_they_should() {
        for message in messages() {
            for form in [Form::Rich, Form::Plain] {
                let (_, body) = rendered(&*bot(), &message, form);
                let text = body["text"].as_str().unwrap();
                assert!(Unit::Utf16.len(text) <= TEXT_MAX, "{}", Unit::Utf16.len(text));
                assert!(body.get("parse_mode").is_none());
            }
        }
        let (_, body) = rendered(&*bot(), &hostile(), Form::Rich);
        assert!(body["entities"].as_array().unwrap().len() < 100);
        let quoted = covered(&body, "pre").concat();
        let everything_else = body["text"].as_str().unwrap().replace(&quoted, "");
        let values = covered(&body, "code");
        let loose = values.iter().fold(everything_else, |text, value| text.replace(value, ""));
        assert!(!loose.contains("@everyone") && loose.contains("@\u{200b}everyone"), "{loose}");
    }

    #[test]
    fn going_on_edits_and_the_rest_answers() {
        let more = Message { kind: Kind::More, ..message() };
        let (url, body) = rendered_after(&*bot(), &more, Form::Rich, Some("42"));
        assert!(url.ends_with("/editMessageText") && body["message_id"] == 42);
        let over = Message { kind: Kind::Resolved, ..message() };
        let (url, body) = rendered_after(&*bot(), &over, Form::Rich, Some("42"));
        assert!(url.ends_with("/sendMessage") && body["reply_parameters"]["message_id"] == 42);
    }
}
