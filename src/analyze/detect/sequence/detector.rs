//! Sessions as one of a group's detectors: lines in, evidence about abnormal sessions out at the end of a window.

use std::collections::BTreeSet;

use super::{Sessions, Settings, Templates, Verdict};
use crate::{
    analyze::detect::{Closing, Evidence, Sighting},
    model::TemplateId,
    store::memory::MemoryRow,
};

/// The name under which it counts.
const NAME: &str = "sequence";
/// Pieces of evidence told in one window, most certain first: a storm of like sessions is one thing.
const MAX_EVIDENCE: usize = 8;

/// Follows the sessions of one group.
pub struct Detector {
    sessions: Sessions,
}

impl Default for Detector {
    fn default() -> Self {
        Detector::new(Settings::default())
    }
}

impl Detector {
    /// Nothing seen, nothing learnt.
    pub fn new(settings: Settings) -> Self {
        Detector { sessions: Sessions::new(settings) }
    }

    /// Takes a line; says how surprising it is by itself, in [0, 1].
    pub fn line(&mut self, sighting: &Sighting<'_>) -> f32 {
        self.sessions.observe(sighting.line, sighting.template, sighting.values, sighting.received)
    }

    /// Ends what has fallen silent; says which sessions were abnormal. While learning it says nothing.
    pub fn close(&mut self, closing: &Closing<'_>, is_learning: bool) -> Vec<Evidence> {
        let verdicts = self.sessions.end_idle(closing.now, is_learning, closing);
        let mut evidence: Vec<Evidence> = Vec::new();
        for verdict in verdicts.into_iter().filter(|verdict| !verdict.quotes.is_empty()) {
            add(&mut evidence, verdict);
        }
        evidence.sort_by(|a, b| b.score.total_cmp(&a.score));
        evidence.truncate(MAX_EVIDENCE);
        evidence
    }

    /// Adds the rows that changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        self.sessions.save(out);
    }

    /// Takes a row back that an earlier run has written.
    pub fn restore(&mut self, row: &MemoryRow) {
        self.sessions.restore(row);
    }

    /// The sessions, for counts of them.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

impl Templates for Closing<'_> {
    fn resolve(&self, id: TemplateId) -> TemplateId {
        (self.resolve)(id)
    }

    fn text(&self, id: TemplateId) -> Option<String> {
        (self.text_of)(id)
    }
}

/// Sessions with the same doubt are one piece of evidence; the most certain one is told.
fn add(evidence: &mut Vec<Evidence>, verdict: Verdict) {
    let template = verdict.template.map_or(0, |template| template.0);
    let subject = format!("session {} {} {template}", verdict.kind, verdict.way);
    match evidence.iter_mut().find(|known| known.subject == subject) {
        Some(known) if known.score >= verdict.score => {
            known.count += 1;
            (known.first, known.last) = (known.first.min(verdict.first), known.last.max(verdict.last));
        }
        Some(known) => {
            let (count, first, last) = (known.count, known.first, known.last);
            *known = told(verdict, subject);
            known.count += count;
            (known.first, known.last) = (known.first.min(first), known.last.max(last));
        }
        None => evidence.push(told(verdict, subject)),
    }
}

fn told(verdict: Verdict, subject: String) -> Evidence {
    let is_address = verdict.kind == super::ADDRESS;
    Evidence {
        detector: NAME,
        subject,
        template: verdict.template,
        score: verdict.score,
        observed: verdict.words.observed,
        expected: verdict.words.expected,
        sentence: verdict.words.sentence,
        lines: verdict.quotes,
        count: 1,
        first: verdict.first,
        last: verdict.last,
        source_ips: if is_address { BTreeSet::from([verdict.key]) } else { BTreeSet::new() },
        users: BTreeSet::new(),
    }
}
