//! Block Kit. Everything a log may have written stands in `plain_text` or in a code block, where nothing is markup.

use serde_json::{Value, json};

use crate::{
    model::Severity,
    notify::{
        Kind,
        http::{Form, Letter, set},
        text::{Escape, Role, Unit, as_is, cut, mrkdwn},
    },
};

/// Characters of a header.
const HEADER_MAX: usize = 150;
/// Characters of a section; all blocks together must stay below about 13,200.
const SECTION_MAX: usize = 3_000;
/// Characters of a field.
const FIELD_MAX: usize = 300;
/// Fields of a section.
const FIELDS_MAX: usize = 10;
/// Characters of a message without blocks.
const TEXT_MAX: usize = 3_500;
/// Around quoted lines.
const FENCE: &str = "```";

/// The whole body.
pub(super) fn body(letter: &Letter<'_>) -> Value {
    let outline = letter.outline;
    if letter.form == Form::Plain {
        let text = cut(&letter.plain(Unit::Chars, TEXT_MAX / 2), mrkdwn, Unit::Chars, TEXT_MAX);
        return json!({"text": text, "mrkdwn": false});
    }
    let headline = format!("{} {}", mark(letter), outline.headline);
    let mut blocks = vec![json!({"type": "header", "text": plain(&headline, HEADER_MAX)})];
    let mut section = |text: &str| {
        if !text.is_empty() {
            blocks.push(json!({"type": "section", "text": plain(text, SECTION_MAX)}));
        }
    };
    section(&outline.lead);
    if let Some(advice) = &outline.advice {
        section(&format!("{}: {}", advice.label, advice.value));
    }
    let fields = outline.facts.iter().take(FIELDS_MAX);
    let fields: Vec<Value> =
        fields.map(|fact| plain(&format!("{}: {}", fact.label, fact.value), FIELD_MAX)).collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    blocks.extend(lines(letter));
    let text = cut(&outline.headline, mrkdwn, Unit::Chars, HEADER_MAX * 4);
    json!({"text": text, "blocks": blocks})
}

/// Log lines in a code block, a digest's entries as text; how many are left out; the link.
fn lines(letter: &Letter<'_>) -> Vec<Value> {
    let outline = letter.outline;
    let mut blocks = Vec::new();
    let is_code = outline.lines_role == Role::Code;
    let (around, escape): (_, Escape) = if is_code { (FENCE, mrkdwn) } else { ("", as_is) };
    // Whole lines only, each with an equal share.
    let room = SECTION_MAX - 2 * FENCE.len();
    let share = room / outline.lines.len().max(1) - usize::from(!outline.lines.is_empty());
    let quoted: Vec<String> =
        outline.lines.iter().map(|line| cut(line, escape, Unit::Chars, share)).collect();
    if !quoted.is_empty() {
        let text = format!("{around}{}{around}", quoted.join("\n"));
        let kind = if is_code { "mrkdwn" } else { "plain_text" };
        let mut object = json!({"type": kind, "text": text});
        if is_code {
            set(&mut object, "verbatim", true);
        }
        blocks.push(json!({"type": "section", "text": object}));
    }
    let mut context: Vec<Value> = outline.left_out().iter().map(|text| plain(text, FIELD_MAX)).collect();
    if let Some(link) = &outline.link {
        let text = format!("<{}|{}>", link.as_str().replace('&', "&amp;"), outline.words().open);
        context.push(json!({"type": "mrkdwn", "text": text, "verbatim": true}));
    }
    if !context.is_empty() {
        blocks.push(json!({"type": "context", "elements": context}));
    }
    blocks
}

fn plain(text: &str, max: usize) -> Value {
    json!({"type": "plain_text", "text": cut(text, as_is, Unit::Chars, max), "emoji": false})
}

/// A colour: sections have none of their own.
fn mark(letter: &Letter<'_>) -> &'static str {
    match (letter.message.kind, letter.message.severity) {
        (Kind::Resolved, _) => "✅",
        (_, Severity::Critical) => "🔴",
        (_, Severity::High) => "🟠",
        (_, Severity::Medium) => "🟡",
        (_, Severity::Low | Severity::Info) => "🔵",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::Secret,
        notify::{
            http::testing::{messages, rendered},
            outline::testing::{hostile, message},
            slack::Settings,
        },
    };

    fn hook() -> Settings {
        Settings { url: Secret::new("https://hooks.slack.example/services/T/B/x") }
    }

    #[test]
    fn a_finding_is_a_header_text_fields_lines_and_a_link() {
        let (_, body) = rendered(&hook(), &message(), Form::Rich);
        assert_eq!(body["text"], "[HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(body["blocks"][0]["text"]["text"], "🟠 [HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(body["blocks"][1]["text"]["text"], "40 failed logins in 2 minutes.");
        assert_eq!(body["blocks"][2]["text"]["text"], "What to do: Block the address.");
        assert_eq!(body["blocks"][3]["fields"][0]["text"], "Hosts: web-1");
        assert_eq!(
            body["blocks"][4]["text"]["text"],
            "```Failed password for root from 203.0.113.7 port 4711 ssh2```"
        );
        assert_eq!(
            body["blocks"][5]["elements"][0]["text"],
            "<https://sigyn.example/findings/1|Open in Sigyn>"
        );
    }

    #[test]
    fn nothing_of_a_log_is_markup_and_everything_fits() {
        for message in messages() {
            let (_, body) = rendered(&hook(), &message, Form::Rich);
            let blocks = body["blocks"].as_array().unwrap();
            let mut total = 0;
            for block in blocks {
                let texts = block["fields"].as_array().or(block["elements"].as_array()).cloned();
                for text in texts.unwrap_or_else(|| vec![block["text"].clone()]) {
                    let words = text["text"].as_str().unwrap();
                    let length = words.chars().count();
                    total += length;
                    assert!(
                        length <= if block["type"] == "header" { 150 } else { 3_000 },
                        "{length} {block}"
                    );
                    let own_link = words.starts_with("<https://sigyn.example/");
                    assert!(text["type"] == "plain_text" || own_link || words.starts_with("```"), "{text}");
                    assert!(
                        text["type"] == "plain_text" || own_link || !words.contains(['<', '>']),
                        "{words}"
                    );
                }
            }
            assert!(total < 13_000 && blocks.len() <= 50, "{total}");
        }
        let (_, body) = rendered(&hook(), &hostile(), Form::Plain);
        assert!(!body["text"].as_str().unwrap().contains('<') && body["mrkdwn"] == false);
        assert!(body["text"].as_str().unwrap().chars().count() <= TEXT_MAX);
    }
}
