//! What a model is shown of a window, and what its references mean.
//!
//! The exhibit is made when the window closes, stored with it, and rendered (redacted, within the token budget) when
//! the model is asked. It holds raw lines: it never leaves the process other than through `ask`.

use serde::{Deserialize, Serialize};

use crate::{
    analyze::context::Context,
    model::{EvidenceLine, FindingDraft, Timestamp},
};

/// Everything worth showing of one window, most suspicious first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exhibit {
    /// The window's group: a host, unless configured otherwise.
    pub group: String,
    /// First line's time.
    pub from: Option<Timestamp>,
    /// Last line's time.
    pub to: Option<Timestamp>,
    /// All lines of the window.
    pub lines: u64,
    /// All templates of the window.
    pub templates: u64,
    /// Lines that rules or detectors pointed at.
    pub suspicious: u64,
    /// Templates in order of suspicion. Bounded; what is not here is counted below.
    pub items: Vec<Item>,
    /// Templates left out of `items`.
    pub omitted_templates: u64,
    /// Lines of the templates left out.
    pub omitted_lines: u64,
    /// What rules and detectors already found in this window.
    pub known: Vec<Known>,
    /// What was gathered beside it when the model is asked.
    #[serde(skip)]
    pub context: Context,
}

/// One template of the window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// The template's text.
    pub template: String,
    /// How many lines of the window match it.
    pub count: u64,
    /// First of them.
    pub first: Timestamp,
    /// Last of them.
    pub last: Timestamp,
    /// Detected level (`error`, `warn`, …; `unknown`).
    pub level: String,
    /// Suspicion in [0, 1], by which items are ranked.
    pub suspicion: f64,
    /// Never seen before this window.
    pub is_new: bool,
    /// Rules that matched its lines.
    pub rules: Vec<String>,
    /// Lines that show it: first, last and those with rare values. At least one.
    pub exemplars: Vec<Exemplar>,
    /// Values of its variable parts with their counts, most frequent first, as `value ×count`. Bounded.
    pub values: Vec<(String, u64)>,
    /// How many further distinct values there were.
    pub more_values: u64,
}

/// A quoted line with its reference number within the exhibit (`L1`, `L2`, …), which claims cite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exemplar {
    /// The number after the `L`.
    pub reference: u32,
    /// The line with its stream, as it will stand in a finding's evidence.
    pub evidence: EvidenceLine,
}

/// A finding of the rules or detectors in this window, for the model to explain and never to lower.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// The draft as it was written with the window. What the model adds is written as the same draft with better
    /// words: equal fingerprint, count, severity and evidence.
    pub draft: FindingDraft,
    /// References (of exemplars) among its evidence.
    pub references: Vec<u32>,
}
