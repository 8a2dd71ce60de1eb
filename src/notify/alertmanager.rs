//! Alertmanager's API v2: findings handed to an existing one. An alert is its labels, so they hold nothing that changes
//! from line to line; the receipt keeps them, so that exactly that alert can be ended.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Kind, Message, Outcome, Receipt,
    http::{HttpService, Letter, extended, post_json, set, with_secret},
    service::Backend,
    text::{Unit, angle, cut, tame},
};
use crate::{
    model::{Severity, Timestamp},
    net::{HeaderName, Request, Response, Secret},
};

/// Bytes of a label's value.
const LABEL_MAX: usize = 200;
/// Bytes of an annotation: it ends up in chats with limits of their own.
const ANNOTATION_MAX: usize = 4_000;

/// What an Alertmanager needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address.
    pub url: String,
    /// User and password, where one is asked for.
    pub basic: Option<(String, Secret)>,
    /// A bearer token, where one is asked for.
    pub token: Option<Secret>,
    /// How long an alert fires unless it is told of again or resolved.
    pub hold: Duration,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        &self.url
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.basic.iter().map(|(_, password)| password).chain(&self.token).collect()
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let request = post_json(extended(&self.url, &["api", "v2", "alerts"], &[]), &self.alerts(letter));
        let authorization = match (&self.basic, &self.token) {
            (Some((user, password)), _) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
            }
            (None, Some(token)) => Some(format!("Bearer {}", token.expose())),
            (None, None) => None,
        };
        match authorization {
            Some(value) => with_secret(request, HeaderName::from_static("authorization"), &value),
            None => request,
        }
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }

    fn handle(&self, letter: &Letter<'_>) -> Option<String> {
        (letter.message.kind != Kind::Digest).then(|| labels(letter).to_string())
    }
}

impl Settings {
    fn alerts(&self, letter: &Letter<'_>) -> Value {
        if letter.message.kind == Kind::Digest {
            return letter.message.items.iter().map(|item| self.item(item, letter)).collect();
        }
        let now = letter.now;
        let is_over = letter.message.kind == Kind::Resolved;
        let labels = labels(letter);
        let mut alerts = Vec::new();
        let earlier: Option<Value> =
            letter.earlier_handle().and_then(|handle| serde_json::from_str(handle).ok());
        let earlier = earlier.filter(|earlier| *earlier != labels);
        if let Some(earlier) = &earlier {
            alerts.push(json!({"labels": earlier, "annotations": {}, "endsAt": now.to_string()}));
        }
        // What is over and went under other labels before has nothing more to say.
        if !is_over || earlier.is_none() {
            let ends = if is_over { now } else { now.plus(self.hold) };
            let mut alert = json!({
                "labels": labels,
                "annotations": annotations(letter),
                "startsAt": letter.message.first_seen.min(now).to_string(),
                "endsAt": ends.to_string(),
            });
            if let Some(link) = &letter.outline.link {
                set(&mut alert, "generatorURL", link.as_str());
            }
            alerts.push(alert);
        }
        alerts.into()
    }

    fn item(&self, item: &super::Item, letter: &Letter<'_>) -> Value {
        let title = cut(item.title.cut(LABEL_MAX * 4).as_str(), angle, Unit::Bytes, LABEL_MAX * 4);
        json!({
            "labels": {
                "alertname": "sigyn",
                "severity": severity(item.severity),
                "tenant": letter.message.tenant.as_str(),
                "finding": item.key.as_str(),
            },
            "annotations": {"summary": title, "count": item.count.to_string()},
            "startsAt": letter.message.first_seen.min(letter.now).to_string(),
            "endsAt": letter.now.plus(self.hold).to_string(),
        })
    }
}

fn labels(letter: &Letter<'_>) -> Value {
    let message = letter.message;
    let mut labels = json!({
        "alertname": message.category.map_or("sigyn", |category| category.as_str()),
        "severity": severity(message.severity),
        "tenant": message.tenant.as_str(),
        "finding": message.key.as_str(),
    });
    // Several hosts would be another alert with each host that joins.
    if let [host] = message.hosts.as_slice() {
        set(&mut labels, "host", label(host.as_str()));
    }
    if let Some(service) = &message.service {
        set(&mut labels, "service", label(service.as_str()));
    }
    labels
}

fn label(text: &str) -> String {
    cut(&tame(text, " "), angle, Unit::Bytes, LABEL_MAX)
}

fn annotations(letter: &Letter<'_>) -> Value {
    let (message, outline): (&Message, _) = (letter.message, letter.outline);
    // Whatever they are put into there: no mention and no tag may come of them.
    let safe = |text: &str| cut(text, angle, Unit::Bytes, ANNOTATION_MAX);
    let mut annotations = json!({"summary": safe(&outline.headline), "description": safe(&outline.lead)});
    for name in ["recommendation", "hosts", "users", "source_ips", "count", "evidence"] {
        let value = outline.value(message, name);
        if !value.is_empty() {
            set(&mut annotations, name, safe(&value));
        }
    }
    annotations
}

/// The names that most routing trees know.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "info",
    }
}

/// What the answer means: 200 is success, an error is text.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    match response.status {
        200 => Outcome::Delivered(Receipt::default()),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::{
            Form,
            testing::{messages, rendered, rendered_after},
        },
        outcome::testing::{answer, brief},
        outline::testing::{message, redacted},
    };

    fn existing() -> Settings {
        let basic = Some(("sigyn".to_owned(), Secret::new("hunter2")));
        Settings {
            url: "http://am.example/x".to_owned(),
            basic,
            token: None,
            hold: Duration::from_secs(3_600),
        }
    }

    #[test]
    fn an_alert_is_its_labels_and_they_hold_no_numbers() {
        let (url, alerts) = rendered(&existing(), &message(), Form::Rich);
        assert_eq!(url, "http://am.example/x/api/v2/alerts");
        assert_eq!(
            alerts[0]["labels"],
            json!({"alertname": "brute_force", "severity": "high", "tenant": "fake", "finding": message().key.as_str(),
                   "host": "web-1", "service": "sshd"})
        );
        assert_eq!(alerts[0]["endsAt"], "2026-11-21T01:03:20Z");
        let (_, later) = rendered(&existing(), &Message { count: 900, ..message() }, Form::Rich);
        assert_eq!(later[0]["labels"], alerts[0]["labels"]);
    }

    #[test]
    fn what_was_told_is_what_ends() {
        let (_, alerts) = rendered(&existing(), &message(), Form::Rich);
        let handle = alerts[0]["labels"].to_string();
        let over = Message { kind: Kind::Resolved, ..message() };
        let (_, ended) = rendered_after(&existing(), &over, Form::Rich, Some(&handle));
        assert_eq!(
            (ended.as_array().unwrap().len(), &ended[0]["endsAt"]),
            (1, &json!("2026-11-21T00:03:20Z"))
        );
        // A second host joined in between.
        let wider = Message { hosts: vec![redacted("web-1"), redacted("web-2")], ..over };
        let (_, ended) = rendered_after(&existing(), &wider, Form::Rich, Some(&handle));
        assert_eq!((ended.as_array().unwrap().len(), &ended[0]["labels"]), (1, &alerts[0]["labels"]));
        let worse = Message { kind: Kind::Worse, severity: Severity::Critical, ..message() };
        let (_, both) = rendered_after(&existing(), &worse, Form::Rich, Some(&handle));
        assert_eq!(
            (&both[0]["labels"]["severity"], &both[1]["labels"]["severity"]),
            (&json!("high"), &json!("critical"))
        );
        assert_eq!(both[0]["endsAt"], "2026-11-21T00:03:20Z");
    }

    #[test]
    fn a_digest_is_an_alert_for_each_entry() {
        let digest = messages().into_iter().find(|message| message.kind == Kind::Digest).unwrap();
        let (_, alerts) = rendered(&existing(), &digest, Form::Rich);
        assert_eq!(alerts.as_array().unwrap().len(), 200);
        assert_eq!(alerts[7]["labels"]["finding"], digest.items[7].key.as_str());
    }

    #[test]
    fn only_200_is_success() {
        let check = |status, body: &str| brief(&classify(&answer(status, body), Timestamp::default()));
        assert_eq!(check(200, ""), "delivered -");
        assert_eq!(check(400, "\"at least one label pair required\""), "refused Message");
        assert_eq!(check(500, "\"boom\""), "retry None");
        assert_eq!(check(302, ""), "refused Channel");
    }
}
