//! Language models over HTTP. In: an [`Ask`] made of `Redacted` text and a JSON schema. Out: an [`Answer`] as untrusted
//! text, or an [`LlmError`] that says what to do next. One file per provider knows the wire; everything else
//! (retries, breaker, price) is shared. Keys never appear in errors, logs or `Debug` output.

mod anthropic;
mod breaker;
mod error;
mod model;
mod ollama;
mod openai;
mod settings;
mod wire;

#[cfg(test)]
pub mod fake;

pub use breaker::BreakerState;
pub use error::{LlmError, Next};
pub use model::{Asked, Attempt, Model, Tier};
pub use settings::{Price, Provider, Settings};

use serde_json::Value;

use crate::redact::Redacted;

/// One question to a model.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The instructions.
    pub system: Redacted,
    /// The material.
    pub user: Redacted,
    /// Schema of the answer: every property required, no further ones, the root an object.
    pub schema: &'a Value,
    /// Its name (letters, digits, `_`, `-`).
    pub schema_name: &'static str,
    /// Tokens the answer may have.
    pub max_output_tokens: u32,
}

/// A complete answer; cut-off and declined ones are errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the model said, which should be JSON of the schema.
    pub text: String,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
}

/// Tokens of a text, estimated from below: prose has four to six bytes per token, log text fewer.
pub fn tokens_at_least(text: &str) -> u64 {
    text.len() as u64 / 6
}

/// Tokens of a text, estimated from above: log text (numbers, addresses, ids) comes to about three bytes per token.
pub fn tokens_at_most(text: &str) -> u64 {
    (text.len() as u64).div_ceil(3)
}
