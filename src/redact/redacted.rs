//! Text that may leave the process.

use std::fmt;

/// Text without secrets. Made by a [`Redactor`](super::Redactor), or from parts that cannot hold a secret.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Redacted(String);

impl Redacted {
    /// Text of the program itself.
    pub fn literal(text: &'static str) -> Self {
        Redacted(text.to_owned())
    }

    /// A number.
    pub fn number(number: u64) -> Self {
        Redacted(number.to_string())
    }

    /// The parts, one after the other.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Redacted>) -> Self {
        Redacted(parts.into_iter().map(Redacted::as_str).collect())
    }

    /// Appends redacted text.
    pub fn push(&mut self, more: &Redacted) {
        self.0.push_str(&more.0);
    }

    /// Appends text of the program itself.
    pub fn push_literal(&mut self, more: &'static str) {
        self.0.push_str(more);
    }

    /// Appends a number.
    pub fn push_number(&mut self, number: u64) {
        self.0.push_str(&number.to_string());
    }

    /// Cuts to at most `max_bytes` on a character border; a mask is never cut in half.
    #[must_use]
    pub fn cut(&self, max_bytes: usize) -> Self {
        let mut end = self.0.floor_char_boundary(max_bytes);
        let head = self.0.get(..end).unwrap_or_default();
        // An open bracket near the end may be the beginning of a mask.
        if end < self.0.len()
            && let Some(open) = head.rfind('[')
            && head.len() - open < super::pattern::LONGEST_MASK
            && head.get(open..).is_some_and(|tail| !tail.contains(']'))
        {
            end = open;
        }
        Redacted(self.0.get(..end).unwrap_or_default().to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies a change that cannot bring a secret in (removing or replacing single characters).
    #[must_use]
    pub fn map_chars(&self, change: impl Fn(char) -> Option<char>) -> Self {
        Redacted(self.0.chars().filter_map(change).collect())
    }

    /// Its lines: parts of what holds no secret hold none.
    pub fn lines(&self) -> impl Iterator<Item = Redacted> {
        self.0.lines().map(|line| Redacted(line.to_owned()))
    }

    /// What a redactor or a session vouches for.
    pub(super) fn trusted(text: String) -> Self {
        Redacted(text)
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_mask_or_a_character() {
        let text = Redacted::trusted("user ä [secret] end".to_owned());
        assert_eq!(text.cut(12).as_str(), "user ä ");
        assert_eq!(text.cut(6).as_str(), "user ");
        assert_eq!(text.cut(100).as_str(), "user ä [secret] end");
    }
}
