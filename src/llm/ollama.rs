//! Ollama's own chat API. Its OpenAI-like one ignores the context size, and then prompts are cut without a word.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Ask, LlmError, Settings, tokens_at_least, tokens_at_most, wire};
use crate::net::{Request, Response};

/// Smallest context a server falls back to: its old default, or what a small model was trained with.
const SMALLEST_CONTEXT: u64 = 2_048;

/// The request for a question; refused here when it cannot fit the context.
pub fn request(settings: &Settings, model: &str, ask: &Ask<'_>) -> Result<Request, LlmError> {
    let prompt = tokens_at_most(ask.system.as_str()) + tokens_at_most(ask.user.as_str());
    if prompt + u64::from(ask.max_output_tokens) > u64::from(settings.num_ctx) {
        return Err(LlmError::PromptTooLong { limit: Some(settings.num_ctx) });
    }
    let mut options = json!({"num_ctx": settings.num_ctx, "num_predict": ask.max_output_tokens});
    if let (Some(temperature), Some(options)) = (settings.temperature, options.as_object_mut()) {
        options.insert("temperature".to_owned(), Value::from(temperature));
    }
    let body = json!({
        "model": model,
        "messages": [
            {"role": "system", "content": ask.system.as_str()},
            {"role": "user", "content": ask.user.as_str()},
        ],
        "format": ask.schema,
        "stream": false,
        "options": options,
    });
    let key = settings.api_key.as_ref().filter(|key| !key.is_empty());
    let headers: Vec<_> =
        key.map(|key| ("authorization", format!("Bearer {}", key.expose()))).into_iter().collect();
    wire::post(format!("{}/api/chat", settings.base_url()), &headers, &body)
}

/// The answer in a successful response; an error when the prompt was read only in part.
pub fn read(settings: &Settings, response: &Response, ask: &Ask<'_>) -> Result<Answer, LlmError> {
    let chat: Chat = wire::read(response)?;
    if let Some(read) = chat.prompt_eval_count {
        let sent = tokens_at_least(ask.system.as_str()) + tokens_at_least(ask.user.as_str());
        if was_cut(read, sent, settings.num_ctx.into()) {
            return Err(LlmError::PromptCut { read, sent });
        }
    }
    if !chat.done {
        return Err(LlmError::Malformed("the answer is not complete".to_owned()));
    }
    let output_tokens = chat.eval_count.unwrap_or_default();
    if chat.done_reason.as_deref() == Some("length") {
        return Err(LlmError::AnswerCut(output_tokens));
    }
    Ok(Answer {
        text: chat.message.content,
        input_tokens: chat.prompt_eval_count.unwrap_or_default(),
        output_tokens,
    })
}

/// Whether the count of tokens read shows a cut prompt. A small count alone does not: what the server still holds of an
/// earlier prompt is not counted again. A cut prompt fills a context to its end or to one half, and the context may be
/// smaller than asked for where the model's own is.
fn was_cut(read: u64, sent: u64, num_ctx: u64) -> bool {
    let near = |edge: u64| read.abs_diff(edge) <= edge / 32;
    let smaller = std::iter::successors(Some(SMALLEST_CONTEXT), |size| size.checked_mul(2));
    let mut contexts = smaller.take_while(|size| *size < num_ctx).chain([num_ctx]);
    read >= num_ctx || read < sent && contexts.any(|size| near(size) || near(size / 2))
}

#[derive(Deserialize)]
struct Chat {
    message: Message,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        net::HeaderMap,
        redact::{Redactor, Settings as RedactSettings},
    };

    #[test]
    fn the_context_size_is_always_sent_and_a_cut_prompt_is_an_error() {
        let schema = json!({"type": "object"});
        let text = |n: usize| Redactor::new(RedactSettings::default()).redact(&"word ".repeat(n));
        let ask = Ask {
            system: text(10),
            user: text(2_000),
            schema: &schema,
            schema_name: "claims",
            max_output_tokens: 100,
        };
        let settings = Settings { num_ctx: 4_096, ..Settings::default() };
        let body: Value = serde_json::from_slice(&request(&settings, "m", &ask).unwrap().body).unwrap();
        assert_eq!(body["options"]["num_ctx"], 4_096);
        assert_eq!(body["stream"], false);
        let small = Settings { num_ctx: 2_048, ..Settings::default() };
        assert_eq!(request(&small, "m", &ask).err(), Some(LlmError::PromptTooLong { limit: Some(2_048) }));

        let answered = |read_tokens: u64| {
            let body = json!({"message": {"content": "{}"}, "done": true, "done_reason": "stop",
                "prompt_eval_count": read_tokens, "eval_count": 3});
            let body = Bytes::from(body.to_string());
            read(&settings, &Response { status: 200, headers: HeaderMap::new(), body }, &ask)
        };
        assert_eq!(answered(1_024), Err(LlmError::PromptCut { read: 1_024, sent: 1_674 }));
        assert_eq!(answered(2_100).unwrap().input_tokens, 2_100);
    }

    #[test]
    fn only_a_count_at_the_edge_of_a_context_and_far_too_small_is_a_cut() {
        // A prompt of about 4,500 bytes is 900 tokens here, 750 at least: honest, whatever the context.
        assert!(!was_cut(900, 752, 16_384) && !was_cut(900, 752, 2_048));
        // The same prompt again: nearly all of it is still held, and not counted.
        assert!(!was_cut(1, 752, 16_384) && !was_cut(37, 6_000, 16_384));
        // 5,000 tokens at least, of which a context of 8,192 kept one half, or one of 4,096 all it could.
        assert!(was_cut(4_096, 5_000, 8_192) && was_cut(4_095, 5_000, 8_192) && was_cut(4_010, 5_000, 8_192));
        // The model's own context was smaller than the one asked for: 2,048, and one half of it.
        assert!(was_cut(2_047, 5_000, 16_384) && was_cut(1_026, 5_000, 16_384));
        // An odd context and its half.
        assert!(was_cut(2_998, 3_300, 6_000) && !was_cut(2_998, 2_900, 6_000));
        // Between the edges nothing was cut, and no prompt that fits fills the whole context.
        assert!(!was_cut(3_100, 5_000, 8_192) && was_cut(8_192, 5_000, 8_192));
    }
}
