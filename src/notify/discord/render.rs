//! One embed in the severity's colour. Nobody is ever mentioned: Discord is told to look for no mention at all.

use serde_json::{Value, json};

use crate::{
    model::{Severity, Timestamp},
    notify::{
        Kind,
        http::{Form, Letter, set},
        text::{Escape, Lines, Role, Style, Unit, compose, cut, discord, joined, mrkdwn},
    },
};

/// Characters of a message without embed.
const CONTENT_MAX: usize = 2_000;
/// Characters of an embed's title.
const TITLE_MAX: usize = 256;
/// Characters of its description; 4,096 allowed, and 6,000 in all.
const DESCRIPTION_MAX: usize = 3_600;
/// Characters of a field's value; ten of them.
const VALUE_MAX: usize = 180;
/// Fields shown.
const FIELDS_MAX: usize = 10;
/// Message flag: links make no previews.
const SUPPRESS_EMBEDS: u32 = 4;

/// The whole body.
pub(super) fn body(letter: &Letter<'_>) -> Value {
    let nobody = json!({"parse": []});
    if letter.form == Form::Plain {
        let style =
            Style { max: CONTENT_MAX, lines: Lines::Each, wrap: |_| ("", ""), escape: |_| discord, ..STYLE };
        let content = joined(&compose(letter.outline, &style));
        return json!({"content": content, "flags": SUPPRESS_EMBEDS, "allowed_mentions": nobody});
    }
    let outline = letter.outline;
    let mut body = outline.body();
    // The title is the link.
    let link = body.link.take();
    let value = |text: &str| cut(text, discord, Unit::Utf16, VALUE_MAX);
    let facts = outline.facts.iter().take(FIELDS_MAX);
    let fields: Vec<Value> =
        facts.map(|fact| json!({"name": fact.label, "value": value(&fact.value), "inline": true})).collect();
    let mut embed = json!({
        "title": cut(&outline.headline, discord, Unit::Utf16, TITLE_MAX),
        "description": joined(&compose(&body, &STYLE)),
        "color": colour(letter.message.kind, letter.message.severity),
        "fields": fields,
        "timestamp": Timestamp::from_secs(letter.message.last_seen.as_secs()).to_string(),
        "footer": {"text": "Sigyn"},
    });
    if let Some(link) = link {
        set(&mut embed, "url", link.as_str());
    }
    json!({"content": "", "embeds": [embed], "allowed_mentions": nobody})
}

const STYLE: Style = Style {
    unit: Unit::Utf16,
    max: DESCRIPTION_MAX,
    escape: |role| -> Escape { if matches!(role, Role::Code) { in_code } else { discord } },
    wrap: |role| match role {
        Role::Headline | Role::Label => ("**", "**"),
        Role::Code => ("```\n", "\n```"),
        _ => ("", ""),
    },
    newline: "\n",
    lines: Lines::Block,
};

/// In a code block everything stands for itself but the backtick.
fn in_code(char: char, out: &mut String) {
    if char == '`' { mrkdwn(char, out) } else { out.push(char) }
}

fn colour(kind: Kind, severity: Severity) -> u32 {
    match (kind, severity) {
        (Kind::Resolved, _) => 0x2e_a0_43,
        (_, Severity::Critical) => 0xb6_02_05,
        (_, Severity::High) => 0xd9_6b_0b,
        (_, Severity::Medium) => 0xe3_b3_41,
        (_, Severity::Low) => 0x1f_6f_eb,
        (_, Severity::Info) => 0x8b_94_9e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::Secret,
        notify::{
            Message,
            discord::Settings,
            http::testing::{messages, rendered},
            outline::testing::{hostile, message},
        },
    };

    fn hook() -> Settings {
        Settings { url: Secret::new("https://discord.example/api/webhooks/1/tok"), thread_id: None }
    }

    #[test]
    fn a_finding_is_one_coloured_embed() {
        let (_, body) = rendered(&hook(), &message(), Form::Rich);
        let embed = &body["embeds"][0];
        assert_eq!(embed["title"], "\\[HIGH\\] SSH brute force from 203.0.113.7");
        assert_eq!(
            embed["description"],
            "40 failed logins in 2 minutes.\n**What to do**: Block the address.\n```\nFailed password for root from 203.0.113.7 port 4711 ssh2\n```"
        );
        assert_eq!((&embed["color"], &embed["fields"][0]["value"]), (&json!(0xd9_6b_0b), &json!("web\\-1")));
        let (_, over) = rendered(&hook(), &Message { kind: Kind::Resolved, ..message() }, Form::Rich);
        assert_eq!(over["embeds"][0]["color"], 0x2e_a0_43);
    }

    #[test]
    fn everything_fits_and_nobody_is_mentioned() {
        for message in messages() {
            let (_, body) = rendered(&hook(), &message, Form::Rich);
            assert_eq!(body["allowed_mentions"], json!({"parse": []}));
            let embed = &body["embeds"][0];
            let length = |value: &Value| Unit::Utf16.len(value.as_str().unwrap());
            let fields = embed["fields"].as_array().unwrap();
            let in_fields: usize = fields.iter().map(|f| length(&f["name"]) + length(&f["value"])).sum();
            let total = length(&embed["title"]) + length(&embed["description"]) + in_fields + 5;
            assert!(
                length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4_096 && total <= 6_000,
                "{total}"
            );
            assert!(fields.iter().all(|f| !f["value"].as_str().unwrap().is_empty()));
            assert_eq!(embed["description"].as_str().unwrap().matches("```").count() % 2, 0);
            let (_, plain) = rendered(&hook(), &message, Form::Plain);
            assert!(length(&plain["content"]) <= 2_000 && plain["allowed_mentions"] == json!({"parse": []}));
        }
        let (_, body) = rendered(&hook(), &hostile(), Form::Plain);
        assert!(!body["content"].as_str().unwrap().contains("@everyone"));
    }
}
