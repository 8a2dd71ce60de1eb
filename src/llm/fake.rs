//! A model server for tests, in process on loopback: answers what it is told to, and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Provider, Settings};
use crate::runtime::Supervisor;

/// One scripted reply.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer with this text, in the provider's form.
    Says(String),
    /// An answer that ended at the output limit.
    CutOff(String),
    /// A refusal.
    Refuses,
    /// For Ollama: an answer to a prompt of which only so many tokens were read.
    ReadOnly(u64, String),
    /// A status with header fields and body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Bytes that are no JSON, with status 200.
    Garbage,
    /// Nothing, ever.
    Hangs,
}

/// The running server.
pub struct FakeModel {
    /// Where it listens.
    pub url: String,
    provider: Provider,
    shared: Arc<Shared>,
    _server: Supervisor,
}

struct Shared {
    provider: Provider,
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Value>>,
}

impl FakeModel {
    /// Starts one that gives these replies in order, and status 500 after the last.
    pub async fn start(provider: Provider, replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared {
            provider,
            replies: Mutex::new(replies.into_iter().collect()),
            asked: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = Supervisor::default();
        server.spawn("fake model", async move { axum::serve(listener, router).await });
        FakeModel { url, provider, shared, _server: server }
    }

    /// Settings that reach it, with short waits.
    pub fn settings(&self) -> Settings {
        Settings {
            provider: self.provider,
            base_url: self.url.clone(),
            model: "large".to_owned(),
            timeout: Duration::from_millis(500),
            tries: 2,
            ..Settings::default()
        }
    }

    /// Adds a reply to the script.
    pub fn then(&self, reply: Reply) {
        self.shared.replies.lock().unwrap().push_back(reply);
    }

    /// The request bodies so far.
    pub fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let expected = match shared.provider {
        Provider::OpenAi => "/chat/completions",
        Provider::Anthropic => "/v1/messages",
        Provider::Ollama => "/api/chat",
    };
    assert_eq!(uri.path(), expected);
    shared.asked.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    let reply = shared.replies.lock().unwrap().pop_front();
    match reply {
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Reply::Says(text)) => complete(shared.provider, &text, "stop", 5_000),
        Some(Reply::CutOff(text)) => complete(shared.provider, &text, "length", 5_000),
        Some(Reply::ReadOnly(tokens, text)) => complete(shared.provider, &text, "stop", tokens),
        Some(Reply::Refuses) => complete(shared.provider, "", "refusal", 5_000),
        Some(Reply::Garbage) => "<html>bad gateway</html>".into_response(),
        Some(Reply::Hangs) => std::future::pending().await,
        Some(Reply::Status(status, headers, body)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}

/// A complete response in the provider's form; 50 tokens out.
fn complete(provider: Provider, text: &str, ended: &str, read: u64) -> Response {
    let body = match provider {
        Provider::OpenAi => {
            let finish = if ended == "refusal" { "content_filter" } else { ended };
            json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
                "usage": {"prompt_tokens": read, "completion_tokens": 50}})
        }
        Provider::Anthropic => {
            let stop = match ended {
                "length" => "max_tokens",
                "refusal" => "refusal",
                _ => "end_turn",
            };
            json!({"content": [{"type": "text", "text": text}], "stop_reason": stop,
                "usage": {"input_tokens": read, "output_tokens": 50}})
        }
        Provider::Ollama => json!({"message": {"role": "assistant", "content": text}, "done": true,
            "done_reason": ended, "prompt_eval_count": read, "eval_count": 50}),
    };
    axum::Json(body).into_response()
}
