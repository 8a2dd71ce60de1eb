//! Why a rule is refused, said so that its author can mend it.

use std::fmt;

/// A mistake in a rule file. All mistakes of all files are reported together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// The file, or `built-in pack`.
    pub file: String,
    /// The rule's id, if the mistake is inside a rule.
    pub rule: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule '{rule}': ")?;
        }
        write!(f, "{}; {}", self.problem, self.mend)
    }
}
