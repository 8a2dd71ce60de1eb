//! What a detector saw, and what it expected instead.

use std::collections::BTreeSet;

use crate::model::{EvidenceLine, TemplateId, Timestamp};

/// One unusual thing in one window. It is about real lines, always at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Which detector says so.
    pub detector: &'static str,
    /// What it is about, in a form that stays the same when it happens again.
    pub subject: String,
    /// The template it is about, if it is about one.
    pub template: Option<TemplateId>,
    /// How sure it is, calibrated: 0.8 and more is rare where nothing has happened.
    pub score: f64,
    /// What was seen: `143 lines in 60 s`.
    pub observed: String,
    /// What was expected: `0–4 lines`.
    pub expected: String,
    /// Both in one plain sentence.
    pub sentence: String,
    /// Lines that show it.
    pub lines: Vec<EvidenceLine>,
    /// How many lines or events it is about.
    pub count: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// Addresses involved.
    pub source_ips: BTreeSet<String>,
    /// Accounts involved.
    pub users: BTreeSet<String>,
}
