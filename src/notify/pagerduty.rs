//! PagerDuty's Events API v2: one alert per trouble, named by its key, resolved by the same key.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Kind, Message, Outcome,
    http::{Form, HttpService, Letter, post_json, set},
    outcome::{id, json as parse, why},
    service::Backend,
    text::{Unit, as_is, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{Request, Response, Secret},
};

/// Where events go.
pub const API_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a summary.
const SUMMARY_MAX: usize = 1_024;
/// Characters of a source.
const SOURCE_MAX: usize = 200;
/// Backoff of minutes is asked for.
const PAUSE: Duration = Duration::from_secs(60);

/// What an integration needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The integration key of a service or ruleset.
    pub routing_key: Secret,
    /// Another region's address.
    pub api_url: String,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        &self.api_url
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.routing_key]
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let message = letter.message;
        let mut body = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": if message.kind == Kind::Resolved { "resolve" } else { "trigger" },
            "dedup_key": message.key.as_str(),
        });
        if message.kind != Kind::Resolved {
            set(&mut body, "payload", payload(letter));
            set(&mut body, "client", "Sigyn");
        }
        if let Some(link) = &letter.outline.link {
            set(&mut body, "client_url", link.as_str());
            set(&mut body, "links", json!([{"href": link.as_str(), "text": letter.outline.words().open}]));
        }
        post_json(self.api_url.clone(), &body)
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

fn payload(letter: &Letter<'_>) -> Value {
    let (message, outline) = (letter.message, letter.outline);
    let hosts = outline.value(message, "hosts");
    let source = if hosts.is_empty() { "sigyn" } else { &hosts };
    let mut payload = json!({
        "summary": cut(&outline.headline, as_is, Unit::Chars, SUMMARY_MAX),
        "source": cut(source, as_is, Unit::Chars, SOURCE_MAX),
        "severity": severity(message.severity),
        "timestamp": message.last_seen.to_string(),
        "group": message.tenant.as_str(),
    });
    if let Some(category) = message.category {
        set(&mut payload, "class", category.as_str());
    }
    if message.service.is_some() {
        set(&mut payload, "component", outline.value(message, "service"));
    }
    if letter.form == Form::Rich {
        set(&mut payload, "custom_details", details(message, letter));
    }
    payload
}

fn details(message: &Message, letter: &Letter<'_>) -> Value {
    let mut details = serde_json::Map::new();
    let outline = letter.outline;
    if outline.lead != outline.headline {
        details.insert("summary".to_owned(), outline.lead.clone().into());
    }
    for name in ["recommendation", "source_ips", "users", "count", "first_seen", "last_seen"] {
        details.insert(name.to_owned(), outline.value(message, name).into());
    }
    details.insert("lines".to_owned(), outline.lines.clone().into());
    details.insert("lines_left_out".to_owned(), outline.lines_left_out.into());
    Value::Object(details)
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "info",
    }
}

/// What the answer means.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    let answer = parse(response);
    match response.status {
        202 => Outcome::delivered(&response.body, answer.get("dedup_key").and_then(id)),
        400 if answer.get("errors").is_some_and(|errors| errors.to_string().contains("routing")) => {
            Outcome::broken(why(response))
        }
        400 | 413 => Outcome::rewrite(why(response)),
        429 => match Outcome::by_status(response, now) {
            Outcome::Retry { after: None, why } => Outcome::retry(Some(PAUSE), why),
            named => named,
        },
        _ => Outcome::by_status(response, now),
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

    fn service() -> Settings {
        Settings { routing_key: Secret::new("R0"), api_url: API_URL.to_owned() }
    }

    #[test]
    fn answers_are_judged_by_status() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(
            check(202, r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#),
            "delivered k"
        );
        let invalid = r#"{"status":"invalid event","message":"Event object is invalid","errors":["#;
        assert_eq!(check(400, &format!("{invalid}\"'payload.summary' is missing or blank\"]}}")), "rewrite");
        assert_eq!(
            check(400, &format!("{invalid}\"Length of 'routing_key' is incorrect\"]}}")),
            "refused Channel"
        );
        assert_eq!(check(429, ""), "retry Some(60s)");
        assert_eq!(check(200, ""), "refused Message");
    }

    #[test]
    fn a_trouble_is_opened_and_resolved_under_one_key() {
        let (_, opened) = rendered(&service(), &message(), Form::Rich);
        assert_eq!(
            (&opened["event_action"], &opened["payload"]["severity"]),
            (&json!("trigger"), &json!("error"))
        );
        assert_eq!(opened["payload"]["custom_details"]["count"], "40");
        let (_, over) = rendered(&service(), &Message { kind: Kind::Resolved, ..message() }, Form::Rich);
        assert_eq!((&over["event_action"], &over["dedup_key"]), (&json!("resolve"), &opened["dedup_key"]));
        assert!(over.get("payload").is_none());
    }

    #[test]
    fn everything_fits_and_the_plain_form_has_no_details() {
        for message in messages() {
            let (_, body) = rendered(&service(), &message, Form::Rich);
            assert!(body.to_string().len() < 512 * 1_024);
            assert!(body["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
            let (_, plain) = rendered(&service(), &message, Form::Plain);
            assert!(plain["payload"].get("custom_details").is_none());
        }
    }
}
