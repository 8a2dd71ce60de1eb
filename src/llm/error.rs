//! Why a model gave no usable answer, and what to do next.

use std::time::Duration;

use crate::net::HttpError;

/// A failed call. No message holds a key, a prompt or more than a short piece of the server's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// No answer: network, TLS, timeout, answer too large.
    #[error(transparent)]
    Transport(#[from] HttpError),
    /// The breaker is open after repeated failures.
    #[error("the model is left alone for {0:?} after repeated failures")]
    BreakerOpen(Duration),
    /// Too many requests, or overloaded.
    #[error("the model is busy (status {status})")]
    Busy {
        /// The status.
        status: u16,
        /// When to come back, if the server says.
        retry_after: Option<Duration>,
    },
    /// A fault of the server.
    #[error("the model's server failed with status {status}: {message}")]
    Server {
        /// The status.
        status: u16,
        /// Its words, cut and masked.
        message: String,
        /// When to come back, if the server says.
        retry_after: Option<Duration>,
    },
    /// The key is missing, wrong or not allowed.
    #[error("the model's server refuses the API key (status {0})")]
    Unauthorised(u16),
    /// The account has no credit left.
    #[error("the account with the model's provider has no quota left")]
    QuotaSpent,
    /// The model does not exist there.
    #[error("model '{model}' not found{hint}")]
    ModelMissing {
        /// The model asked for.
        model: String,
        /// What to do about it.
        hint: String,
    },
    /// The prompt does not fit the model's context.
    #[error("the prompt does not fit the model's context{}", limit.map(|n| format!(" of {n} tokens")).unwrap_or_default())]
    PromptTooLong {
        /// The context's size, if the server says.
        limit: Option<u32>,
    },
    /// The server read only part of the prompt.
    #[error("the model read only {read} of about {sent} tokens: raise num_ctx or lower the prompt's budget")]
    PromptCut {
        /// Tokens read.
        read: u64,
        /// Tokens sent, estimated from below.
        sent: u64,
    },
    /// The answer ended at the output limit.
    #[error("the answer was cut off after {0} tokens")]
    AnswerCut(u64),
    /// The model declined, or a filter did.
    #[error("the model declined to answer")]
    Declined,
    /// Anything else the server does not accept.
    #[error("the model's server rejects the request with status {status}: {message}")]
    Rejected {
        /// The status.
        status: u16,
        /// Its words, cut and masked.
        message: String,
    },
    /// The response is not in the provider's format.
    #[error("not a response of this provider: {0}")]
    Malformed(String),
}

/// What to do after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same call again, not before this time has passed if one is given.
    Retry(Option<Duration>),
    /// The same question with a shorter prompt.
    Shrink,
    /// Not this question again: the answer would not differ.
    GiveUp,
    /// No question at all before somebody mends the configuration or the account.
    Mend,
}

impl LlmError {
    /// What to do next.
    pub fn next(&self) -> Next {
        match self {
            LlmError::Transport(error) if error.is_transient() => Next::Retry(None),
            LlmError::Transport(HttpError::TooLarge { .. })
            | LlmError::Declined
            | LlmError::Rejected { .. } => Next::GiveUp,
            LlmError::Transport(_)
            | LlmError::Unauthorised(_)
            | LlmError::QuotaSpent
            | LlmError::ModelMissing { .. } => Next::Mend,
            LlmError::BreakerOpen(wait) => Next::Retry(Some(*wait)),
            LlmError::Busy { retry_after, .. } | LlmError::Server { retry_after, .. } => {
                Next::Retry(*retry_after)
            }
            LlmError::Malformed(_) => Next::Retry(None),
            LlmError::PromptTooLong { .. } | LlmError::PromptCut { .. } | LlmError::AnswerCut(_) => {
                Next::Shrink
            }
        }
    }

    /// Whether it says that the model or its server is not well (and not that this one question is bad).
    pub fn trips_breaker(&self) -> bool {
        matches!(self.next(), Next::Retry(_) | Next::Mend) && !matches!(self, LlmError::BreakerOpen(_))
    }

    /// The name used in metrics and in the database.
    pub fn kind(&self) -> &'static str {
        match self {
            LlmError::Transport(HttpError::Timeout { .. }) => "timeout",
            LlmError::Transport(_) => "unreachable",
            LlmError::BreakerOpen(_) => "breaker_open",
            LlmError::Busy { .. } => "rate_limited",
            LlmError::Server { .. } => "server_error",
            LlmError::Unauthorised(_) => "unauthorised",
            LlmError::QuotaSpent => "quota_spent",
            LlmError::ModelMissing { .. } => "model_missing",
            LlmError::PromptTooLong { .. } => "prompt_too_long",
            LlmError::PromptCut { .. } => "prompt_cut",
            LlmError::AnswerCut(_) => "answer_cut",
            LlmError::Declined => "declined",
            LlmError::Rejected { .. } => "rejected",
            LlmError::Malformed(_) => "malformed",
        }
    }
}
