//! What the three providers have in common on the wire: JSON posts, and the meaning of failures.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{LlmError, Provider, Settings};
use crate::{
    model::Timestamp,
    net::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, retry_after},
    redact::{self, Redactor},
};

/// Longest piece of the server's words kept in an error.
const MESSAGE_MAX: usize = 300;

/// A POST of JSON with the given header fields.
pub fn post(url: String, headers: &[(&'static str, String)], body: &Value) -> Result<Request, LlmError> {
    let mut map = HeaderMap::new();
    map.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        // A key with a line break or other odd bytes cannot be a right one.
        let mut value = HeaderValue::from_str(value).map_err(|_| LlmError::Unauthorised(0))?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_static(name), value);
    }
    Ok(Request {
        method: Method::POST,
        url,
        headers: map,
        body: Bytes::from(body.to_string()),
        timeout: None,
    })
}

/// Reads a successful response's JSON.
pub fn read<T: DeserializeOwned>(response: &Response) -> Result<T, LlmError> {
    serde_json::from_slice(&response.body).map_err(|error| LlmError::Malformed(error.to_string()))
}

/// What a status other than 2xx means.
pub fn failure(settings: &Settings, model: &str, response: &Response, now: Timestamp) -> LlmError {
    let status = response.status;
    let told = Told::read(&response.body);
    let retry_after = retry_after(&response.headers, now);
    let message = clean(&told.message);
    let hopeless = response.headers.get("x-should-retry").is_some_and(|value| value == "false");
    match status {
        _ if told.says(&["insufficient_quota", "billing_error", "credit balance"]) => LlmError::QuotaSpent,
        402 => LlmError::QuotaSpent,
        401 | 403 => LlmError::Unauthorised(status),
        404 => missing(settings, model, &told),
        413 => LlmError::PromptTooLong { limit: told.context },
        400..=499
            if told.says(&[
                "context_length_exceeded",
                "exceed_context_size",
                "prompt is too long",
                "context length",
                "context window",
                "context size",
            ]) =>
        {
            LlmError::PromptTooLong { limit: told.context }
        }
        408 | 409 | 425 | 429 | 529 if !hopeless => LlmError::Busy { status, retry_after },
        500..=599 if !hopeless => LlmError::Server { status, message, retry_after },
        300..=399 => LlmError::Rejected { status, message: "redirects are not followed".to_owned() },
        _ => LlmError::Rejected { status, message },
    }
}

fn missing(settings: &Settings, model: &str, told: &Told) -> LlmError {
    let hint = match settings.effective_provider() {
        Provider::Ollama => format!(": run 'ollama pull {model}'"),
        _ if told.says(&["model"]) => String::new(),
        _ => ", or the base URL is wrong".to_owned(),
    };
    LlmError::ModelMissing { model: model.to_owned(), hint }
}

/// A server's words may repeat the key or the prompt.
fn clean(message: &str) -> String {
    let redacted = Redactor::new(redact::Settings::default()).redact(message);
    redacted.map_chars(|c| (!c.is_control()).then_some(c)).cut(MESSAGE_MAX).as_str().to_owned()
}

/// What an error body says, in any of the providers' forms.
struct Told {
    /// Type and code, for recognising.
    kind: String,
    message: String,
    context: Option<u32>,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            let message =
                String::from_utf8_lossy(body.get(..body.len().min(2_000)).unwrap_or_default()).into_owned();
            return Told { kind: String::new(), message, context: None };
        };
        let error = value.get("error").unwrap_or(&value);
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = error.as_str().unwrap_or_else(|| text("message")).to_owned();
        let context = error.get("n_ctx").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        Told { kind: format!("{} {}", text("type"), text("code")), message, context }
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| self.kind.contains(word) || message.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Next;

    #[track_caller]
    fn check(status: u16, body: &str, expected: &LlmError, next: Next) {
        let response = Response { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) };
        let settings = Settings { provider: Provider::Ollama, ..Settings::default() };
        let error = failure(&settings, "m", &response, Timestamp::default());
        assert_eq!(&error, expected);
        assert_eq!(error.next(), next);
    }

    #[test]
    fn failures_say_what_to_do_next() {
        let quota =
            r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        check(429, quota, &LlmError::QuotaSpent, Next::Mend);
        check(429, "{}", &LlmError::Busy { status: 429, retry_after: None }, Next::Retry(None));
        check(529, "{}", &LlmError::Busy { status: 529, retry_after: None }, Next::Retry(None));
        let long = r#"{"error":{"type":"exceed_context_size_error","n_prompt_tokens":18924,"n_ctx":4096}}"#;
        check(400, long, &LlmError::PromptTooLong { limit: Some(4_096) }, Next::Shrink);
        let missing =
            LlmError::ModelMissing { model: "m".to_owned(), hint: ": run 'ollama pull m'".to_owned() };
        check(404, r#"{"error":"model 'm' not found"}"#, &missing, Next::Mend);
        check(401, "", &LlmError::Unauthorised(401), Next::Mend);
    }

    #[test]
    fn a_key_repeated_by_the_server_is_masked() {
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnopqrst"}}"#;
        let response = Response { status: 422, headers: HeaderMap::new(), body: Bytes::from(body) };
        let error = failure(&Settings::default(), "m", &response, Timestamp::default());
        assert!(!error.to_string().contains("abcdefghij"), "{error}");
    }
}
