//! Mistakes in the settings: each with its place, its key and the mend.

use std::fmt;

use super::tree::{Node, Origin};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// File and line, variable or flag.
    pub origin: String,
    /// The key, dotted; empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.problem)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}

/// Every mistake found, at least one.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// Collects mistakes while everything is read and checked.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Mistake>);

impl Report {
    /// Notes a mistake of a known origin.
    pub(super) fn at(
        &mut self,
        origin: &Origin,
        key: &str,
        problem: impl fmt::Display,
        mend: impl fmt::Display,
    ) {
        self.0.push(Mistake {
            origin: origin.to_string(),
            key: key.to_owned(),
            problem: problem.to_string(),
            mend: mend.to_string(),
        });
    }

    /// Notes a mistake about a key; its origin is looked up. A key already found unreadable is not blamed again.
    pub(super) fn about(
        &mut self,
        root: &Node,
        key: &str,
        problem: impl fmt::Display,
        mend: impl fmt::Display,
    ) {
        if !self.0.iter().any(|known| known.key == key) {
            self.at(root.origin_of(key), key, problem, mend);
        }
    }

    /// The settings, if there is no mistake.
    pub(super) fn into_result<T>(self, settings: T) -> Result<T, Mistakes> {
        if self.0.is_empty() { Ok(settings) } else { Err(Mistakes(self.0)) }
    }
}
