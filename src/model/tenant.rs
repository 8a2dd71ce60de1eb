//! Whose logs these are.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

/// Longest tenant name in bytes, as in Loki.
const MAX_LEN: usize = 150;

/// A valid tenant name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a tenant name is refused; the texts are those Loki's clients know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTenant {
    /// Nothing was sent.
    #[error("no org id")]
    Missing,
    /// `a|b`: several tenants where one is needed.
    #[error("multiple org IDs present")]
    Multiple,
    /// A character outside letters, digits and `!-_.*'()`.
    #[error("tenant ID '{0}' contains unsupported character '{1}'")]
    Character(String, char),
    /// Longer than 150 bytes.
    #[error("tenant ID is too long: max 150 characters")]
    TooLong,
    /// `.` and `..` could be mistaken for folders.
    #[error("tenant ID is '.' or '..'")]
    Dots,
}

impl TenantId {
    /// The tenant of a server without authentication, named as in Loki.
    pub fn single() -> Self {
        TenantId("fake".into())
    }

    /// Checks a tenant name as it came in a header.
    pub fn parse(text: &str) -> Result<Self, BadTenant> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        if text.is_empty() {
            return Err(BadTenant::Missing);
        }
        if text.contains('|') {
            return Err(BadTenant::Multiple);
        }
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(BadTenant::Character(text.to_owned(), bad));
        }
        if text.len() > MAX_LEN {
            return Err(BadTenant::TooLong);
        }
        if text == "." || text == ".." {
            return Err(BadTenant::Dots);
        }
        Ok(TenantId(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TenantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_lokis_words() {
        assert_eq!(
            TenantId::parse("a/b").unwrap_err().to_string(),
            "tenant ID 'a/b' contains unsupported character '/'"
        );
        assert_eq!(TenantId::parse("a|b"), Err(BadTenant::Multiple));
        assert_eq!(TenantId::parse(".."), Err(BadTenant::Dots));
        assert_eq!(TenantId::parse(&"x".repeat(151)), Err(BadTenant::TooLong));
        assert!(TenantId::parse("team-a_1.*'()!").is_ok());
    }
}
