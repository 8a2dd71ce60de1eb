//! An Apprise API server, which knows a hundred more services. Plain text: it converts for each.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Kind, Outcome,
    http::{HttpService, Letter, post_json, set},
    outcome::why,
    service::Backend,
    text::{Unit, angle, cut},
};
use crate::{
    model::{Severity, Timestamp},
    net::{Request, Response, Secret},
};

/// Bytes of a body: it goes to services with limits of their own.
const BODY_MAX: usize = 4_000;
/// Bytes of a title.
const TITLE_MAX: usize = 250;
/// A service behind it failed, which may be for its limits.
const FAILED_PAUSE: Duration = Duration::from_secs(300);

/// What a server needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:8000/notify/KEY`, or `http://host:8000/notify` with `urls`. The key opens the configuration.
    pub url: Secret,
    /// The services, for a server that keeps none.
    pub urls: Option<Secret>,
    /// Only services with these tags.
    pub tag: Option<String>,
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        self.url.expose()
    }

    fn secrets(&self) -> Vec<&Secret> {
        std::iter::once(&self.url).chain(&self.urls).collect()
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let mut body = json!({
            "title": cut(&letter.outline.headline, angle, Unit::Bytes, TITLE_MAX),
            // It goes on to services that may look for mentions and tags.
            "body": cut(&letter.plain_body(Unit::Bytes, BODY_MAX), angle, Unit::Bytes, BODY_MAX),
            "type": colour(letter),
            "format": "text",
        });
        if let Some(urls) = &self.urls {
            set(&mut body, "urls", urls.expose());
        }
        if let Some(tag) = &self.tag {
            set(&mut body, "tag", Value::from(tag.as_str()));
        }
        post_json(self.url.expose().to_owned(), &body)
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

fn colour(letter: &Letter<'_>) -> &'static str {
    match (letter.message.kind, letter.message.severity) {
        (Kind::Resolved, _) => "success",
        (_, Severity::Critical | Severity::High) => "failure",
        (_, Severity::Medium) => "warning",
        (_, Severity::Low | Severity::Info) => "info",
    }
}

/// What the server's answer means. Redirects and empty answers are no delivery.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    match response.status {
        200 => Outcome::delivered(&response.body, None),
        204 => Outcome::broken("nothing is configured under this key or tag"),
        424 => Outcome::retry(Some(FAILED_PAUSE), format!("a service behind it failed: {}", why(response))),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::{
            Form,
            testing::{messages, rendered},
        },
        outcome::testing::{answer, brief},
        outline::testing::message,
    };

    #[test]
    fn only_200_is_delivered() {
        let check = |status| brief(&classify(&answer(status, ""), Timestamp::default()));
        assert_eq!((check(200), check(204)), ("delivered -".to_owned(), "refused Channel".to_owned()));
        assert_eq!((check(424), check(302)), ("retry Some(300s)".to_owned(), "refused Channel".to_owned()));
    }

    #[test]
    fn the_text_is_plain_and_fits() {
        let url = Secret::new("http://apprise.example:8000/notify/key");
        let server = Settings { url, urls: None, tag: Some("ops".to_owned()) };
        for message in messages() {
            let (_, body) = rendered(&server, &message, Form::Rich);
            assert!(body["body"].as_str().unwrap().len() <= BODY_MAX && body["format"] == "text");
        }
        let (_, body) = rendered(&server, &message(), Form::Rich);
        assert_eq!((&body["type"], &body["tag"]), (&json!("failure"), &json!("ops")));
    }
}
