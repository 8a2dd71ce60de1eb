//! What the operator may set about asking a model.

use std::time::Duration;

use crate::{
    analyze::{self, ask::Family, context},
    model::Budget,
    redact,
};

/// What the operator may set about asking a model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits on calls, tokens and money.
    pub budget: Budget,
    /// Tokens the prompt may have, instructions included.
    pub prompt_tokens: u64,
    /// Which way of looking at the logs.
    pub family: Family,
    /// The operator's own words, added to the instructions.
    pub instructions: String,
    /// Language of titles and explanations (`en`, `zh`, any name a model understands).
    pub language: String,
    /// What is masked before anything leaves.
    pub redact: redact::Settings,
    /// What is told beside the lines of the window.
    pub context: context::Settings,
    /// Labels that name a group, as the analysis has them.
    pub group_by: Vec<String>,
    /// Tries per window, over which the waits double up to half an hour in all.
    pub attempts: u32,
    /// A window that could not be asked about within this time is given up.
    pub patience: Duration,
    /// Windows that may wait for the model at once; beyond that the slightest, oldest ones are given up.
    pub backlog: usize,
    /// Answers to equal digests are used again within this time.
    pub cache_age: Duration,
    /// Findings with an equal fingerprint within this time are one; as the analysis has it.
    pub dedup: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            budget: Budget::default(),
            prompt_tokens: 8_000,
            family: Family::General,
            instructions: String::new(),
            language: "en".to_owned(),
            redact: redact::Settings::default(),
            context: context::Settings::default(),
            group_by: analyze::Settings::default().group_by,
            attempts: 5,
            patience: Duration::from_secs(6 * 3_600),
            backlog: 500,
            cache_age: Duration::from_secs(24 * 3_600),
            dedup: Duration::from_secs(3_600),
        }
    }
}
