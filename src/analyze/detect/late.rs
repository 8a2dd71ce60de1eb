//! Which lines of the open window do not belong to now.

use rustc_hash::FxHashMap;

use super::Sighting;
use crate::model::{TemplateId, Timestamp};

/// Late lines of the open window by template, and the times of the others.
#[derive(Debug, Default)]
pub struct Late {
    counts: FxHashMap<TemplateId, u64>,
    /// First and last time of the lines that were not late.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl Late {
    /// Takes note of a line. As many templates are noted as the window counts one by one.
    pub fn line(&mut self, sighting: &Sighting<'_>) {
        if sighting.is_late {
            *self.counts.entry(sighting.template).or_default() += 1;
            return;
        }
        let at = sighting.line.timestamp;
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at), to.max(at)));
    }

    /// Late lines of a template.
    pub fn of(&self, template: TemplateId) -> u64 {
        self.counts.get(&template).copied().unwrap_or(0)
    }

    /// All late lines.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
