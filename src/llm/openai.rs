//! Chat completions of OpenAI and the servers that speak the same.
//!
//! Servers differ in which parameters they know: what one refuses is left out or renamed from then on ([`Quirks`]).

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Ask, LlmError, Settings, wire};
use crate::net::{Request, Response, host_of};

/// What this server was found not to know.
#[derive(Debug)]
pub struct Quirks {
    old_token_limit: AtomicBool,
    no_temperature: AtomicBool,
    no_schema: AtomicBool,
}

impl Quirks {
    /// OpenAI itself wants the new name of the token limit, most others know the old one.
    pub fn of(settings: &Settings) -> Self {
        let is_openai = host_of(settings.base_url()).as_deref() == Some("api.openai.com");
        Quirks {
            old_token_limit: AtomicBool::new(!is_openai),
            no_temperature: AtomicBool::new(settings.temperature.is_none()),
            no_schema: AtomicBool::new(false),
        }
    }

    /// Learns from a refusal; says whether the call is worth repeating at once.
    pub fn learn(&self, error: &LlmError) -> bool {
        let LlmError::Rejected { status: 400 | 422, message } = error else { return false };
        let message = message.to_ascii_lowercase();
        if message.contains("max_tokens") || message.contains("max_completion_tokens") {
            // Which of the two is meant is told by which one was sent: once over, and back never.
            let to_new = message.contains("use 'max_completion_tokens'") || message.contains("'max_tokens'");
            return self.old_token_limit.swap(!to_new, Ordering::Relaxed) == to_new;
        }
        if message.contains("temperature") {
            return !self.no_temperature.swap(true, Ordering::Relaxed);
        }
        let about_schema = message.contains("response_format") || message.contains("json_schema");
        about_schema && !self.no_schema.swap(true, Ordering::Relaxed)
    }
}

/// The request for a question.
pub fn request(
    settings: &Settings,
    model: &str,
    quirks: &Quirks,
    ask: &Ask<'_>,
) -> Result<Request, LlmError> {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert(
        "messages".to_owned(),
        json!([{"role": "system", "content": ask.system.as_str()}, {"role": "user", "content": ask.user.as_str()}]),
    );
    let limit = match quirks.old_token_limit.load(Ordering::Relaxed) {
        true => "max_tokens",
        false => "max_completion_tokens",
    };
    body.insert(limit.to_owned(), ask.max_output_tokens.into());
    let format = match quirks.no_schema.load(Ordering::Relaxed) {
        true => json!({"type": "json_object"}),
        false => {
            let schema = json!({"name": ask.schema_name, "strict": true, "schema": ask.schema});
            json!({"type": "json_schema", "json_schema": schema})
        }
    };
    body.insert("response_format".to_owned(), format);
    if let Some(temperature) = settings.temperature.filter(|_| !quirks.no_temperature.load(Ordering::Relaxed))
    {
        body.insert("temperature".to_owned(), temperature.into());
    }
    let key = settings.api_key.as_ref().filter(|key| !key.is_empty());
    let headers: Vec<_> =
        key.map(|key| ("authorization", format!("Bearer {}", key.expose()))).into_iter().collect();
    wire::post(format!("{}/chat/completions", settings.base_url()), &headers, &Value::Object(body))
}

/// The answer in a successful response.
pub fn read(response: &Response) -> Result<Answer, LlmError> {
    let completion: Completion = wire::read(response)?;
    let usage = completion.usage.unwrap_or_default();
    let choice = completion.choices.into_iter().next().ok_or(LlmError::Malformed("no choice".to_owned()))?;
    match choice.finish_reason.as_deref() {
        Some("length") => return Err(LlmError::AnswerCut(usage.completion_tokens)),
        Some("content_filter") => return Err(LlmError::Declined),
        _ => {}
    }
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(LlmError::Declined);
    }
    let text = choice.message.content.ok_or(LlmError::Malformed("no content".to_owned()))?;
    Ok(Answer { text, input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens })
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{net::HeaderMap, redact::Redacted};

    fn sent(quirks: &Quirks, settings: &Settings) -> Value {
        let schema = json!({"type": "object"});
        let ask = Ask {
            system: Redacted::literal("s"),
            user: Redacted::literal("u"),
            schema: &schema,
            schema_name: "claims",
            max_output_tokens: 9,
        };
        serde_json::from_slice(&request(settings, "m", quirks, &ask).unwrap().body).unwrap()
    }

    fn refused(message: &str) -> LlmError {
        LlmError::Rejected { status: 400, message: message.to_owned() }
    }

    #[test]
    fn the_schema_is_strict_and_openai_gets_the_new_limit() {
        let settings = Settings::default();
        let body = sent(&Quirks::of(&settings), &settings);
        assert_eq!(body["max_completion_tokens"], 9);
        assert_eq!(body["response_format"]["json_schema"]["strict"], true);
        assert!(body.get("temperature").is_none());
    }

    #[test]
    fn refused_parameters_are_left_out_once_learnt() {
        let settings = Settings {
            base_url: "http://localhost:1/v1".to_owned(),
            temperature: Some(0.1),
            ..Settings::default()
        };
        let quirks = Quirks::of(&settings);
        assert_eq!(sent(&quirks, &settings)["max_tokens"], 9);
        let unsupported =
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.";
        assert!(quirks.learn(&refused(unsupported)));
        assert!(!quirks.learn(&refused(unsupported)), "nothing new is learnt from the same words");
        assert!(quirks.learn(&refused("Unsupported value: 'temperature'")));
        let body = sent(&quirks, &settings);
        assert_eq!(body["max_completion_tokens"], 9);
        assert!(body.get("temperature").is_none() && body.get("max_tokens").is_none());
    }

    #[test]
    fn cut_and_declined_answers_are_errors() {
        let read_body = |body: &'static str| {
            read(&Response {
                status: 200,
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            })
        };
        let cut = r#"{"choices":[{"message":{"content":"{"},"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#;
        assert_eq!(read_body(cut), Err(LlmError::AnswerCut(7)));
        let refusal = r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}"#;
        assert_eq!(read_body(refusal), Err(LlmError::Declined));
        let good = r#"{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#;
        assert_eq!(read_body(good), Ok(Answer { text: "{}".to_owned(), input_tokens: 5, output_tokens: 7 }));
    }
}
