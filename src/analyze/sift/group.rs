//! What the rules remember of one group, across windows.

use serde::{Deserialize, Serialize};

use super::{Sifter, StreamRules, Verdict};
use crate::{
    analyze::line::Line,
    model::{FindingDraft, TemplateId, Timestamp},
};

/// The state of one group. Serialised as its snapshot; bounded whatever the lines say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSift {}

impl GroupSift {
    /// Sifts one line.
    pub fn line(&mut self, _sifter: &Sifter, _rules: &StreamRules, _line: &Line<'_>) -> Verdict {
        Verdict::default()
    }

    /// The findings of the window so far. Changes nothing: may be called before the window closes and again then.
    pub fn drafts(
        &self,
        _sifter: &Sifter,
        _templates: &dyn Fn(TemplateId) -> Option<String>,
    ) -> Vec<FindingDraft> {
        Vec::new()
    }

    /// Forgets what belongs to the window that ends; keeps sliding counts that are younger than their rule's period.
    pub fn end_window(&mut self, _now: Timestamp) {}
}
