//! Anthropic's messages, with native structured output.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Ask, LlmError, Settings, wire};
use crate::net::{Request, Response};

/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";

/// The request for a question.
pub fn request(settings: &Settings, model: &str, ask: &Ask<'_>) -> Result<Request, LlmError> {
    let mut body = json!({
        "model": model,
        "max_tokens": ask.max_output_tokens,
        "system": ask.system.as_str(),
        "messages": [{"role": "user", "content": ask.user.as_str()}],
        "output_config": {"format": {"type": "json_schema", "schema": ask.schema}},
    });
    if let (Some(temperature), Some(body)) = (settings.temperature, body.as_object_mut()) {
        body.insert("temperature".to_owned(), temperature.into());
    }
    let mut headers = vec![("anthropic-version", VERSION.to_owned())];
    if let Some(key) = settings.api_key.as_ref().filter(|key| !key.is_empty()) {
        headers.push(("x-api-key", key.expose().to_owned()));
    }
    // A base URL that was written for an OpenAI-like client ends in /v1.
    let base = settings.base_url();
    wire::post(format!("{}/v1/messages", base.strip_suffix("/v1").unwrap_or(base)), &headers, &body)
}

/// The answer in a successful response.
pub fn read(response: &Response) -> Result<Answer, LlmError> {
    let message: Message = wire::read(response)?;
    let usage = message.usage;
    match message.stop_reason.as_deref() {
        Some("max_tokens") => return Err(LlmError::AnswerCut(usage.output_tokens)),
        Some("model_context_window_exceeded") => return Err(LlmError::PromptTooLong { limit: None }),
        Some("refusal") => return Err(LlmError::Declined),
        _ => {}
    }
    let text: String = message.content.into_iter().filter_map(|part| part.text).collect();
    if text.is_empty() {
        return Err(LlmError::Malformed("no text".to_owned()));
    }
    // The plain count leaves out what was read from or written to the cache.
    let input_tokens = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
    Ok(Answer { text, input_tokens, output_tokens: usage.output_tokens })
}

#[derive(Deserialize)]
struct Message {
    content: Vec<Part>,
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(deserialize_with = "null_is_zero")]
    cache_creation_input_tokens: u64,
    #[serde(deserialize_with = "null_is_zero")]
    cache_read_input_tokens: u64,
}

fn null_is_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        net::{HeaderMap, Secret},
        redact::Redacted,
    };

    #[test]
    fn the_native_form_is_used_even_with_an_openai_base_url() {
        let settings = Settings {
            base_url: "https://api.anthropic.com/v1".to_owned(),
            api_key: Some(Secret::new("k")),
            ..Settings::default()
        };
        let schema = json!({"type": "object"});
        let ask = Ask {
            system: Redacted::literal("s"),
            user: Redacted::literal("u"),
            schema: &schema,
            schema_name: "claims",
            max_output_tokens: 9,
        };
        let request = request(&settings, "m", &ask).unwrap();
        assert_eq!(request.url, "https://api.anthropic.com/v1/messages");
        assert_eq!(request.headers["x-api-key"], "k");
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["output_config"]["format"]["schema"]["type"], "object");
        assert_eq!(body["max_tokens"], 9);
    }

    #[test]
    fn stop_reasons_and_cached_tokens_are_understood() {
        let read_body = |body: &'static str| {
            read(&Response {
                status: 200,
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            })
        };
        let good = r#"{"content":[{"type":"text","text":"{}"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":7,"cache_read_input_tokens":3,"cache_creation_input_tokens":null}}"#;
        assert_eq!(read_body(good), Ok(Answer { text: "{}".to_owned(), input_tokens: 8, output_tokens: 7 }));
        assert_eq!(read_body(r#"{"content":[],"stop_reason":"refusal"}"#), Err(LlmError::Declined));
        let cut = r#"{"content":[],"stop_reason":"max_tokens","usage":{"input_tokens":1,"output_tokens":2}}"#;
        assert_eq!(read_body(cut), Err(LlmError::AnswerCut(2)));
    }
}
