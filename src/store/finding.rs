//! Findings: joined by fingerprint when written, listed and changed by people.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    model::{Category, Finding, FindingDraft, FindingId, FindingStatus, FindingWindow, Severity, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// The window a draft comes from; the key under which its count is booked once.
#[derive(Clone, Debug)]
pub struct Source {
    /// The tenant's number.
    pub tenant: i64,
    /// The group.
    pub group: String,
    /// The window's first block.
    pub first_seq: u64,
    /// What the window was.
    pub window: FindingWindow,
}

/// What writing a draft did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A finding nobody has heard of.
    New,
    /// It joined an existing finding.
    Joined,
}

/// Writes drafts. A draft joins the newest finding with its fingerprint that was last seen within `dedup` and is not
/// resolved or a false positive; otherwise it becomes a new one. Writing the same source and draft again changes nothing
/// but what the draft now says better (count of that window, evidence, words).
pub fn apply(
    _tx: &Transaction<'_>,
    _source: &Source,
    _drafts: &[FindingDraft],
    _dedup: Duration,
    _now: Timestamp,
) -> Result<Vec<(FindingId, Applied)>, StoreError> {
    todo!()
}

/// Which findings; newest last event first.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Last seen at or after.
    pub from: Option<Timestamp>,
    /// First seen before.
    pub to: Option<Timestamp>,
    /// At least this bad.
    pub severity: Option<Severity>,
    /// Only these categories (empty: all).
    pub categories: Vec<Category>,
    /// Only these states (empty: all).
    pub statuses: Vec<FindingStatus>,
    /// Seen on this host.
    pub host: Option<String>,
    /// About this service.
    pub service: Option<String>,
    /// The text occurs in title, summary or evidence (case-insensitive).
    pub text: Option<String>,
    /// Evidence from a stream with all these labels.
    pub labels: Vec<(String, String)>,
    /// The page's cursor: last event and id of the previous page's last row.
    pub before: Option<(Timestamp, FindingId)>,
    /// At most so many.
    pub limit: usize,
}

/// Lists findings.
pub fn list(_conn: &Connection, _filter: &FindingFilter) -> Result<Vec<Finding>, StoreError> {
    todo!()
}

/// One finding.
pub fn get(_conn: &Connection, _tenant: i64, _id: &FindingId) -> Result<Option<Finding>, StoreError> {
    todo!()
}

/// What a person may change.
#[derive(Clone, Debug, Default)]
pub struct FindingChange {
    /// The new status.
    pub status: Option<FindingStatus>,
    /// The new note; an empty one removes it.
    pub note: Option<String>,
}

/// Changes a finding; `None` when there is no such finding.
pub fn change(
    _tx: &Transaction<'_>,
    _tenant: i64,
    _id: &FindingId,
    _change: &FindingChange,
    _now: Timestamp,
) -> Result<Option<Finding>, StoreError> {
    todo!()
}

/// Counts over a time range.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FindingSummary {
    /// All findings.
    pub total: u64,
    /// By severity.
    pub by_severity: BTreeMap<&'static str, u64>,
    /// By category.
    pub by_category: BTreeMap<String, u64>,
    /// By status.
    pub by_status: BTreeMap<String, u64>,
    /// By host.
    pub by_host: BTreeMap<String, u64>,
}

/// Summarises the findings seen in a time range.
pub fn summary(
    _conn: &Connection,
    _tenant: i64,
    _from: Option<Timestamp>,
    _to: Option<Timestamp>,
) -> Result<FindingSummary, StoreError> {
    todo!()
}
