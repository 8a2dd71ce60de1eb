//! Any receiver of JSON, signed after Standard Webhooks: every try carries the same id, its own time and signature.

mod render;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Outcome, Template,
    http::{HttpService, Letter, with_secret},
    outcome::why,
    service::Backend,
};
use crate::{
    model::Timestamp,
    net::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Secret},
};

/// What a receiver needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is. May hold a token.
    pub url: Secret,
    /// Keys that sign, the newest first; several while they are being changed.
    pub keys: Vec<SigningKey>,
    /// The operator's own body; each value is escaped for JSON unless the content type is another.
    pub body: Option<Template>,
    /// What the body is.
    pub content_type: HeaderValue,
    /// Further headers.
    pub headers: Vec<(HeaderName, Secret)>,
}

/// A key of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.
#[derive(Clone, Debug)]
pub struct SigningKey {
    text: Secret,
}

impl SigningKey {
    /// Reads a key; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let key = SigningKey { text: Secret::new(text) };
        let length = key.bytes()?.len();
        (24..=64).contains(&length).then_some(key)
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.text.expose().strip_prefix("whsec_")?).ok()
    }

    /// One signature of the list.
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{seconds}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1,{}", super::sign::hmac_sha256(&self.bytes().unwrap_or_default(), &signed))
    }
}

pub(super) fn backend(settings: &Settings, _: &super::Settings) -> Backend {
    Backend::Http(Box::new(settings.clone()))
}

impl HttpService for Settings {
    fn endpoint(&self) -> &str {
        self.url.expose()
    }

    fn secrets(&self) -> Vec<&Secret> {
        let headers = self.headers.iter().map(|(_, value)| value);
        std::iter::once(&self.url).chain(self.keys.iter().map(|key| &key.text)).chain(headers).collect()
    }

    fn request(&self, letter: &Letter<'_>) -> Request {
        let body = render::body(letter, self.body.as_ref(), &self.content_type);
        let url = self.url.expose().to_owned();
        let mut request = Request {
            method: Method::POST,
            url,
            headers: HeaderMap::new(),
            body: body.into(),
            timeout: None,
        };
        request.headers.insert("content-type", self.content_type.clone());
        for (name, value) in &self.headers {
            request = with_secret(request, name.clone(), value.expose());
        }
        // The id is the same in every try: receivers know the second copy by it.
        let id = format!("msg_{}", letter.message.id.simple());
        let seconds = letter.now.as_secs();
        let signatures: Vec<String> =
            self.keys.iter().map(|key| key.sign(&id, seconds, &request.body)).collect();
        let own = [("webhook-id", id), ("webhook-timestamp", seconds.to_string())];
        for (name, value) in own {
            request = with_secret(request, HeaderName::from_static(name), &value);
        }
        if !signatures.is_empty() {
            request =
                with_secret(request, HeaderName::from_static("webhook-signature"), &signatures.join(" "));
        }
        request
    }

    fn classify(&self, response: &Response, now: Timestamp) -> Outcome {
        classify(response, now)
    }
}

/// What a status means; the body is the receiver's own affair.
fn classify(response: &Response, now: Timestamp) -> Outcome {
    match response.status {
        200..=299 => Outcome::delivered(&response.body, None),
        413 => Outcome::rewrite(why(response)),
        _ => Outcome::by_status(response, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        http::{Form, testing::NOW},
        outcome::testing::{answer, brief},
        outline::{Outline, testing::message},
    };

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's libraries.
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(
            SigningKey::parse("whsec_c2hvcnQ=").is_none()
                && SigningKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none()
        );
    }

    #[test]
    fn every_try_has_the_same_id_and_all_keys_sign() {
        let key = || SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let settings = Settings {
            url: Secret::new("https://x.example/hook"),
            keys: vec![key(), key()],
            body: None,
            content_type: HeaderValue::from_static("application/json"),
            headers: vec![(HeaderName::from_static("x-team"), Secret::new("ops"))],
        };
        let (message, outline) = (message(), Outline::of(&message(), None));
        let of = |now| {
            settings.request(&Letter {
                message: &message,
                outline: &outline,
                earlier: None,
                form: Form::Rich,
                now,
            })
        };
        let (first, second) = (of(NOW), of(NOW.plus(std::time::Duration::from_secs(60))));
        assert_eq!(first.headers["webhook-id"], "msg_00000000000000000000000000000007");
        assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
        assert_eq!(first.headers["webhook-timestamp"], "1795219400");
        assert_eq!(first.headers["x-team"], "ops");
        assert_ne!(first.headers["webhook-signature"], second.headers["webhook-signature"]);
        assert_eq!(first.headers["webhook-signature"].to_str().unwrap().split(' ').count(), 2);
    }

    #[test]
    fn answers_are_judged_by_status() {
        let check = |status| brief(&classify(&answer(status, ""), Timestamp::default()));
        assert_eq!((check(204), check(410)), ("delivered -".to_owned(), "refused Channel".to_owned()));
        assert_eq!((check(302), check(502)), ("refused Channel".to_owned(), "retry None".to_owned()));
        assert_eq!((check(413), check(400)), ("rewrite".to_owned(), "refused Message".to_owned()));
    }
}
