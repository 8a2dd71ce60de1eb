//! Regular expressions that are compiled at their first use: most of a pack's are never needed.

use std::sync::OnceLock;

use regex::Regex;

/// Largest compiled expression; the built-in pack stays far below.
const MAX_BYTES: usize = 1 << 20;

/// An expression as written, compiled when it is first asked.
#[derive(Debug)]
pub(super) struct Expression {
    source: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Expression {
    pub fn new(source: &str) -> Self {
        Expression { source: source.into(), compiled: OnceLock::new() }
    }

    /// Compiles it apart, so that a mistake is known. The error says what is wrong.
    pub fn verify(&self) -> Result<Regex, String> {
        self.compile().map_err(|error| format!("the expression does not compile: {error}"))
    }

    /// The compiled form; `None` when it does not compile, which `verify` would have told.
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref()
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    fn compile(&self) -> Result<Regex, regex::Error> {
        regex::RegexBuilder::new(&self.source).size_limit(MAX_BYTES).build()
    }
}
