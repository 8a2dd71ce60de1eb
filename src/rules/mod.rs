//! Rules: what a line means. Keyword, regex and label matching; the built-in pack and the operator's own files.
//!
//! In: YAML. Out: a `RuleSet` that says which rules a message matches and which fields it holds. A rule set never
//! changes and holds no state: counting is `analyze::sift`'s.

mod compile;
mod error;
mod expression;
mod field;
mod keywords;
mod load;
mod pack;
mod pattern;
mod request;
mod rule;
mod set;
mod spec;

use std::path::PathBuf;

pub use error::RuleError;
pub use field::{Field, Fields};
pub use load::load;
pub use rule::{After, Escalation, Rule, Threshold};
pub use set::{Hit, Hits, RuleSet, Scope};

/// Which rules are in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the built-in pack is loaded.
    pub builtin: bool,
    /// The operator's rule files, in order; a rule with a known id replaces it.
    pub files: Vec<PathBuf>,
    /// Ids of rules that are switched off.
    pub disabled: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { builtin: true, files: Vec::new(), disabled: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
