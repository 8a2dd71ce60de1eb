//! What channels over HTTP share: a service is two pure functions, one that makes the request and one that reads the
//! answer; sending and the second try as plain text are here.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Message, Outcome, Receipt,
    outline::Outline,
    text::{Unit, compose, joined, plain_style},
};
use crate::{
    model::Timestamp,
    net::{HeaderMap, HeaderName, HeaderValue, HttpClient, Method, Request, Response, Secret, Url},
    runtime::Clock,
};

/// In which form a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With all the service offers.
    Rich,
    /// After the service refused the rich form: plain text.
    Plain,
}

/// One message on its way to one service.
pub(super) struct Letter<'a> {
    /// What is told.
    pub message: &'a Message,
    /// The same in words.
    pub outline: &'a Outline,
    /// What the service said to an earlier message about the same trouble.
    pub earlier: Option<&'a Receipt>,
    /// In which form.
    pub form: Form,
    /// The time of sending, which some services sign.
    pub now: Timestamp,
}

impl Letter<'_> {
    /// The handle of the earlier message.
    pub fn earlier_handle(&self) -> Option<&str> {
        self.earlier?.handle.as_deref()
    }

    /// Everything as plain text.
    pub fn plain(&self, unit: Unit, max: usize) -> String {
        joined(&compose(self.outline, &plain_style(unit, max)))
    }

    /// Everything but the headline as plain text, for services with a title of their own.
    pub fn plain_body(&self, unit: Unit, max: usize) -> String {
        joined(&compose(&self.outline.untitled(), &plain_style(unit, max)))
    }
}

/// A service that is spoken to over HTTP.
pub(super) trait HttpService: Send + Sync {
    /// A URL of the only host that requests go to.
    fn endpoint(&self) -> &str;
    /// What must not show in any text.
    fn secrets(&self) -> Vec<&Secret>;
    /// Makes the request.
    fn request(&self, letter: &Letter<'_>) -> Request;
    /// Judges the answer.
    fn classify(&self, response: &Response, now: Timestamp) -> Outcome;
    /// Takes note of what an answer says about later requests.
    fn learn(&self, _: &Response) {}
    /// The handle of a taken letter, when it is in the letter and not in the answer.
    fn handle(&self, _: &Letter<'_>) -> Option<String> {
        None
    }
}

/// Sends a letter; what the service refuses for its form is sent once more as a new plain message.
pub(super) async fn deliver(
    service: &dyn HttpService,
    http: &HttpClient,
    clock: &Clock,
    message: (&Message, &Outline),
    earlier: Option<&Receipt>,
) -> Outcome {
    let (message, outline) = message;
    let letter = |form, earlier| Letter { message, outline, earlier, form, now: clock.now() };
    let first = attempt(service, http, clock, &letter(Form::Rich, earlier)).await;
    let Outcome::Rewrite { why } = first else { return keep_handle(first, earlier) };
    match attempt(service, http, clock, &letter(Form::Plain, None)).await {
        Outcome::Rewrite { why: again } => Outcome::refused(format!("{why}; as plain text: {again}")),
        outcome => outcome,
    }
}

async fn attempt(
    service: &dyn HttpService,
    http: &HttpClient,
    clock: &Clock,
    letter: &Letter<'_>,
) -> Outcome {
    match http.send(service.request(letter)).await {
        Ok(response) => {
            service.learn(&response);
            match service.classify(&response, clock.now()) {
                Outcome::Delivered(Receipt { answer, handle: None }) => {
                    Outcome::Delivered(Receipt { answer, handle: service.handle(letter) })
                }
                outcome => outcome,
            }
        }
        Err(error) => Outcome::unreachable(&error),
    }
}

/// An edit is the same message as before.
fn keep_handle(outcome: Outcome, earlier: Option<&Receipt>) -> Outcome {
    match outcome {
        Outcome::Delivered(Receipt { answer, handle }) => {
            let handle = handle.or_else(|| earlier.and_then(|receipt| receipt.handle.clone()));
            Outcome::Delivered(Receipt { answer, handle })
        }
        other => other,
    }
}

/// A POST of JSON.
pub(super) fn post_json(url: String, body: &Value) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Request { method: Method::POST, url, headers, body: Bytes::from(body.to_string()), timeout: None }
}

/// Sets a key of a JSON object.
pub(super) fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(pairs) = object {
        pairs.insert(key.to_owned(), value.into());
    }
}

/// Adds a header whose value is a secret. One that no header can hold is left out: the settings have refused it.
pub(super) fn with_secret(mut request: Request, name: HeaderName, value: &str) -> Request {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        request.headers.insert(name, value);
    }
    request
}

/// The URL with steps added to its path and pairs to its query, each encoded once. What is no URL stays as it is and
/// is refused by the client.
pub(super) fn extended(url: &str, steps: &[&str], pairs: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(steps);
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::LazyLock;

    use super::*;
    use crate::notify::outline::testing;

    /// A moment in 2026.
    pub const NOW: Timestamp = Timestamp::from_secs(1_795_219_400);

    /// The URL and the JSON of the request for a message.
    pub fn rendered(service: &dyn HttpService, message: &Message, form: Form) -> (String, Value) {
        rendered_after(service, message, form, None)
    }

    /// The same about a trouble told of before.
    pub fn rendered_after(
        service: &dyn HttpService,
        message: &Message,
        form: Form,
        handle: Option<&str>,
    ) -> (String, Value) {
        let receipt = Receipt { answer: String::new(), handle: handle.map(str::to_owned) };
        let outline = Outline::of(message, None);
        let earlier = handle.map(|_| &receipt);
        let request = service.request(&Letter { message, outline: &outline, earlier, form, now: NOW });
        (request.url, serde_json::from_slice(&request.body).unwrap())
    }

    /// Messages of every kind, harmless and hostile. Made once: a redactor takes its time over 1 MB.
    pub fn messages() -> Vec<Message> {
        static MADE: LazyLock<Vec<Message>> = LazyLock::new(make_messages);
        MADE.clone()
    }

    fn make_messages() -> Vec<Message> {
        let item = |n: usize| crate::notify::Item {
            severity: crate::model::Severity::Medium,
            title: testing::redacted(&format!("@everyone <!here> **{n}** {}", "x".repeat(5_000))),
            count: 3,
            key: crate::notify::DedupKey::of(&crate::model::TenantId::single(), &n.to_string()),
        };
        let digest = Message::digest(
            uuid::Uuid::from_u128(9),
            (0..200).map(item).collect(),
            crate::model::TenantId::single(),
            NOW,
            NOW,
        );
        let long_line = testing::redacted(&"🔥".repeat(250_000));
        let huge = Message { evidence: vec![long_line; 5], ..testing::message() };
        vec![
            testing::message(),
            testing::hostile(),
            digest,
            huge,
            Message::test(uuid::Uuid::nil(), None, NOW),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_extended_and_encoded_once() {
        assert_eq!(
            extended("https://h/hook?a=1", &["messages", "7/8"], &[("sign", "a+b/c=")]),
            "https://h/hook/messages/7%2F8?a=1&sign=a%2Bb%2Fc%3D"
        );
        assert_eq!(extended("http://h/", &["message"], &[]), "http://h/message");
    }
}
