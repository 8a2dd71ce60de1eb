//! Novelty: the first sight of a template.
//!
//! How odd that is depends on how often this group brings new templates: the chance of the next line being of a new kind,
//! estimated from how many new kinds there lately were (the idea of Good and Turing: Good, "The population frequencies of
//! species", Biometrika 1953), as a Poisson rate per hour of observation. Level and words say how much it matters. Many at
//! once are one piece of evidence: an update.

use std::collections::BTreeSet;

use super::{
    Closing, Evidence,
    late::Late,
    memory::Part,
    pack::{Packer, Unpacker},
    tail, words,
};
use crate::{
    analyze::window::TemplateStat,
    model::{TemplateId, Timestamp},
    store::memory::MemoryRow,
    wire::level::Level,
};

/// Its name.
pub const NAME: &str = "novelty";
/// So many new templates in one window are one thing.
const STORM: usize = 10;
/// A storm by itself is news, however unlikely.
const STORM_SCORE: f64 = 0.85;
/// Hours after which half of the past is forgotten: the lasting rate, and that of a burst of changes.
const LASTING: f64 = 6.0;
const LATELY: f64 = 1.0;
/// A gap between windows counts as observed up to here, in hours.
const MAX_GAP: f64 = 1.0;
/// Half a new template is taken to be seen already, so that no rate is ever zero.
const PRIOR: f64 = 0.5;
/// From this chance's score on, level and words count fully; where new templates are daily bread, only this part of them.
const FULL_AT: f64 = 0.4;
const LEAST: f64 = 0.3;
/// Lines quoted of a storm.
const MAX_LINES: usize = 5;
/// Layout of the row.
const LAYOUT: u8 = 1;

/// New templates and hours, fading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pace {
    found: f64,
    hours: f64,
}

impl Pace {
    fn learn(&mut self, found: usize, hours: f64, half_life: f64) {
        let kept = 0.5_f64.powf(hours / half_life);
        self.found = self.found * kept + found as f64;
        self.hours = self.hours * kept + hours;
    }

    /// New templates per hour.
    fn rate(&self) -> f64 {
        (self.found + PRIOR) / (self.hours + 1.0)
    }
}

/// The novelty detector of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Novelty {
    lasting: Pace,
    lately: Pace,
    seen_at: Option<Timestamp>,
}

/// A template that was made in this window.
struct Fresh<'a> {
    id: TemplateId,
    stat: &'a TemplateStat,
    text: String,
    score: f64,
}

impl Novelty {
    /// How surprising the first line of a new template is by itself.
    pub fn surprise(&self, message: &str, level: Level) -> f64 {
        score(self.rarity(1.0 / 60.0), words::weight(message), level_weight(level))
    }

    /// Ends the window. A template that came only in late lines is of another time.
    pub fn close(&mut self, closing: &Closing<'_>, late: &Late) -> Vec<Evidence> {
        let before = self.seen_at.unwrap_or(closing.window.opened);
        let hours = (closing.now.since(before).as_secs_f64() / 3_600.0).min(MAX_GAP);
        // A template that was merged into an older one was none.
        let is_fresh = |id: TemplateId, stat: &TemplateStat| {
            stat.is_new && (closing.resolve)(id) == id && late.of(id) < stat.count
        };
        let mut fresh: Vec<Fresh<'_>> = closing
            .window
            .templates
            .iter()
            .filter(|(id, stat)| is_fresh(**id, stat))
            .map(|(id, stat)| self.judge(*id, stat, hours, closing))
            .collect();
        fresh.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        let chance = tail::at_least(fresh.len() as u64, self.rate() * hours, 1.0);
        self.lasting.learn(fresh.len(), hours, LASTING);
        self.lately.learn(fresh.len(), hours, LATELY);
        self.seen_at = Some(closing.now);
        if fresh.len() >= STORM {
            return storm(&fresh, tail::score(chance)).into_iter().collect();
        }
        fresh.into_iter().map(single).collect()
    }

    /// Appends the row.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        let mut row = Packer::new(LAYOUT);
        for value in [self.lasting.found, self.lasting.hours, self.lately.found, self.lately.hours] {
            row.precise(value);
        }
        row.time(self.seen_at.unwrap_or_default());
        out.push(MemoryRow { part: Part::Novelty.number(), key: 0, state: Some(row.finish()) });
    }

    /// Takes the row back.
    pub fn restore(&mut self, state: &[u8]) {
        let read = || {
            let mut row = Unpacker::new(LAYOUT, state)?;
            let lasting = Pace { found: row.precise()?, hours: row.precise()? };
            let lately = Pace { found: row.precise()?, hours: row.precise()? };
            Some(Novelty { lasting, lately, seen_at: Some(row.time()?) })
        };
        *self = read().unwrap_or_default();
    }

    /// New templates per hour: of the last hours or of the last one, whichever is more.
    fn rate(&self) -> f64 {
        self.lasting.rate().max(self.lately.rate())
    }

    /// The score of the chance that so many hours bring a new template.
    fn rarity(&self, hours: f64) -> f64 {
        tail::score(1.0 - (-self.rate() * hours).exp())
    }

    fn judge<'a>(
        &self,
        id: TemplateId,
        stat: &'a TemplateStat,
        hours: f64,
        closing: &Closing<'_>,
    ) -> Fresh<'a> {
        let text = (closing.text_of)(id).unwrap_or_default();
        let rarity = self.rarity(hours.max(1.0 / 60.0));
        let score = score(rarity, words::weight(&text), level_weight(stat.level));
        Fresh { id, stat, text, score }
    }
}

/// Rarity, words and level together: each takes away a part of what doubt is left.
fn score(rarity: f64, word: f64, level: f64) -> f64 {
    let part = (rarity / FULL_AT).clamp(LEAST, 1.0);
    1.0 - (1.0 - rarity) * (1.0 - part * word) * (1.0 - part * level)
}

fn level_weight(level: Level) -> f64 {
    match level {
        Level::Unknown | Level::Trace | Level::Debug | Level::Info => 0.0,
        Level::Warn => 0.3,
        Level::Error => 0.65,
        Level::Critical | Level::Fatal => 0.75,
    }
}

fn single(fresh: Fresh<'_>) -> Evidence {
    let Fresh { id, stat, text, score } = fresh;
    Evidence {
        detector: NAME,
        subject: format!("new {}", id.0),
        template: Some(id),
        score,
        observed: format!("{} lines of a kind never seen here", stat.count),
        expected: "only kinds that are known".to_owned(),
        sentence: format!("a kind of line never seen here: \"{text}\""),
        lines: [&stat.head].into_iter().chain(&stat.tail).cloned().collect(),
        count: stat.count,
        first: stat.first,
        last: stat.last,
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
    }
}

/// Many at once, the gravest first.
fn storm(fresh: &[Fresh<'_>], chance: f64) -> Option<Evidence> {
    let gravest = fresh.first()?;
    let number = fresh.len();
    Some(Evidence {
        detector: NAME,
        subject: "many new".to_owned(),
        template: None,
        score: gravest.score.max(chance.min(STORM_SCORE)),
        observed: format!("{number} kinds of lines never seen here"),
        expected: "few or none".to_owned(),
        sentence: format!(
            "{number} kinds of lines never seen here, as after an update; the gravest: \"{}\"",
            gravest.text
        ),
        lines: fresh.iter().take(MAX_LINES).map(|fresh| fresh.stat.head.clone()).collect(),
        count: fresh.iter().map(|fresh| fresh.stat.count).sum(),
        first: fresh.iter().map(|fresh| fresh.stat.first).min()?,
        last: fresh.iter().map(|fresh| fresh.stat.last).max()?,
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests;
