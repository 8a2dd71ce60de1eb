//! A workflow of Microsoft Teams: an adaptive card of text runs, in which no Markdown is read.

use serde_json::{Value, json};

use super::{
    Kind, Outcome,
    http::{Form, HttpService, Letter, post_json, set},
    outcome::why,
    service::Backend,
    text::{Unit, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{Request, Response, Secret},
};

/// Bytes of all lines: a body may have 28 KB, and JSON may double what it escapes.
const LINES_MAX: usize = 4_000;
/// Bytes of each longer text.
const PROSE_MAX: usize = 2_000;
/// Bytes of a value.
const VALUE_MAX: usize = 300;

/// What a workflow needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL, signed by Microsoft: the credential.
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
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks(letter),
            "actions": actions(letter),
            "msteams": {"width": "Full"},
        });
        let attachment = json!({
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        });
        post_json(self.url.expose().to_owned(), &json!({"type": "message", "attachments": [attachment]}))
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

fn blocks(letter: &Letter<'_>) -> Vec<Value> {
    let outline = letter.outline;
    if letter.form == Form::Plain {
        return vec![block(&[run(&letter.plain(Unit::Bytes, LINES_MAX), LINES_MAX)])];
    }
    let mut headline = run(&outline.headline, PROSE_MAX);
    set(&mut headline, "weight", "Bolder");
    set(&mut headline, "size", "Medium");
    set(&mut headline, "color", colour(letter));
    let mut blocks = vec![block(&[headline])];
    if !outline.lead.is_empty() {
        blocks.push(block(&[run(&outline.lead, PROSE_MAX)]));
    }
    let labelled = |label: &str, value: &str, max| {
        let mut label = run(&format!("{label}: "), max);
        set(&mut label, "weight", "Bolder");
        block(&[label, run(value, max)])
    };
    blocks.extend(outline.facts.iter().map(|fact| labelled(fact.label, &fact.value, VALUE_MAX)));
    blocks.extend(outline.advice.iter().map(|advice| labelled(advice.label, &advice.value, PROSE_MAX)));
    let share = LINES_MAX / outline.lines.len().max(1);
    for line in &outline.lines {
        let mut line = run(line, share);
        set(&mut line, "fontType", "Monospace");
        blocks.push(block(&[line]));
    }
    blocks.extend(outline.left_out().map(|text| block(&[run(&text, VALUE_MAX)])));
    blocks
}

fn block(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs, "spacing": "Small"})
}

fn run(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": cut(text, as_is, Unit::Bytes, max)})
}

fn actions(letter: &Letter<'_>) -> Vec<Value> {
    let title = letter.outline.words().open;
    let open = |link: &super::Link| json!({"type": "Action.OpenUrl", "title": title, "url": link.as_str()});
    letter.outline.link.iter().map(open).collect()
}

fn colour(letter: &Letter<'_>) -> &'static str {
    match (letter.message.kind, letter.message.severity) {
        (Kind::Resolved, _) => "Good",
        (_, Severity::Critical | Severity::High) => "Attention",
        (_, Severity::Medium) => "Warning",
        (_, Severity::Low | Severity::Info) => "Accent",
    }
}

/// What a workflow's answer means. The older connectors answer 200 and say in the text that they failed.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let text = String::from_utf8_lossy(&response.body);
    match response.status {
        200..=299 if text.contains("429") && text.contains("error") => Outcome::retry(None, why(response)),
        200..=299 if text.contains("failed with error") => Outcome::refused(why(response)),
        200..=299 => Outcome::delivered(&response.body, None),
        400 | 413 => Outcome::rewrite(why(response)),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::testing::{messages, rendered},
        outcome::testing::{answer, answer_with, brief},
        outline::testing::message,
    };

    #[test]
    fn answers_are_judged_by_status_and_text() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!((check(202, ""), check(200, "1")), ("delivered -".to_owned(), "delivered -".to_owned()));
        let failed =
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
        assert_eq!(check(200, &format!("{failed} 429 with ContextId x")), "retry None");
        assert_eq!(check(200, &format!("{failed} 404 with ContextId x")), "refused Message");
        assert_eq!(check(413, ""), "rewrite");
        assert_eq!(check(404, r#"{"error":{"code":"WorkflowNotFound"}}"#), "refused Channel");
        let slow = classify(&answer_with(429, "retry-after", "9", ""), Timestamp::default());
        assert_eq!(brief(&slow), "retry Some(9s)");
    }

    #[test]
    fn everything_fits_and_no_block_reads_markdown() {
        let workflow = Settings { url: Secret::new("https://prod.logic.example/workflows/x?sig=s") };
        for message in messages() {
            for form in [Form::Rich, Form::Plain] {
                let (_, body) = rendered(&workflow, &message, form);
                assert!(body.to_string().len() <= 28_000, "{}", body.to_string().len());
                let blocks = body["attachments"][0]["content"]["body"].as_array().unwrap();
                assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"));
            }
        }
        let (_, body) = rendered(&workflow, &message(), Form::Rich);
        let card = &body["attachments"][0]["content"];
        assert_eq!(card["body"][0]["inlines"][0]["text"], "[HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(card["actions"][0]["url"], "https://sigyn.example/findings/1");
    }
}
