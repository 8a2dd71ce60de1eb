//! Frequency: more or fewer lines than usual, of one template or of all together.
//!
//! Reads the counts of a window at its end and leaves out what was late. The statistics are in `rates` and `count` (negative binomial outbreak detection, Noufaily et al. 2013).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Closing, Evidence,
    late::Late,
    memory::Part,
    rates::{Departure, Limits, Rates, Tally, Turn},
};
use crate::{
    analyze::window::TemplateStat,
    model::{EvidenceLine, TemplateId, Timestamp},
    store::memory::MemoryRow,
};

/// Its name.
pub const NAME: &str = "frequency";
/// A window is taken to last at least this long: one that was closed early is not many windows' worth.
const MIN_WINDOW: Duration = Duration::from_secs(60);
/// Lines quoted.
const MAX_LINES: usize = 3;

/// The frequency detector of one group.
#[derive(Debug, Default)]
pub struct Frequency {
    rates: Rates,
}

impl Frequency {
    /// Ends the window.
    pub fn close(&mut self, closing: &Closing<'_>, late: &Late, is_learning: bool) -> Vec<Evidence> {
        self.rates.merge(closing.resolve);
        let mut counts: BTreeMap<TemplateId, u64> = BTreeMap::new();
        for (id, stat) in &closing.window.templates {
            let count = stat.count.saturating_sub(late.of(*id));
            *counts.entry((closing.resolve)(*id)).or_default() += count;
        }
        let counts: Vec<(TemplateId, u64)> = counts.into_iter().collect();
        let tally = Tally {
            closed: closing.now,
            spans: spans(closing, late.span),
            counts: &counts,
            lines: closing.window.lines.saturating_sub(late.total()),
            is_learning,
        };
        let settings = closing.settings;
        let limits = Limits {
            spike_min: settings.spike_min,
            spike_ratio: settings.spike_ratio,
            max_templates: settings.max_templates,
        };
        let departures = self.rates.close(&limits, &tally);
        departures.iter().filter_map(|departure| evidence(departure, closing, late)).collect()
    }

    /// Forgets what was usual.
    pub fn clear(&mut self) {
        self.rates.clear();
    }

    /// Memory taken, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.rates.bytes()
    }

    /// Appends what changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        self.rates.save(out);
    }

    /// Takes a row back.
    pub fn restore(&mut self, part: Part, key: u64, state: &[u8]) {
        match part {
            Part::Frequency => self.rates.restore_row(key, state),
            _ => self.rates.restore_course(key, state),
        }
    }
}

/// How many windows' worth of events the window holds: a host that was cut off for minutes brings those minutes at once.
fn spans(closing: &Closing<'_>, span: Option<(Timestamp, Timestamp)>) -> f64 {
    let lasted = closing.now.since(closing.window.opened).max(MIN_WINDOW);
    let events = span.map_or(Duration::ZERO, |(from, to)| to.since(from));
    (events.as_secs_f64() / lasted.as_secs_f64()).max(1.0)
}

fn evidence(departure: &Departure, closing: &Closing<'_>, late: &Late) -> Option<Evidence> {
    let stats = stats(departure, closing);
    let lines: Vec<EvidenceLine> = match departure.template {
        Some(_) => stats.iter().flat_map(|stat| quotes(stat)).take(MAX_LINES).collect(),
        None => stats.iter().take(MAX_LINES).map(|stat| stat.head.clone()).collect(),
    };
    if lines.is_empty() {
        return None;
    }
    let what = match departure.template.and_then(closing.text_of) {
        Some(text) => format!("of \"{text}\""),
        None => "of all kinds".to_owned(),
    };
    // Late lines were not counted, nor do they say when this was.
    let (from, to) = late.span.unwrap_or((closing.window.from, closing.window.to));
    let (low, high) = departure.expected.range();
    let minutes = closing.now.since(closing.window.opened).as_secs().max(1).div_ceil(60);
    let (name, span) = match departure.turn {
        Turn::Spike => ("spike", format!("within {minutes} min")),
        Turn::Rise => ("rise", "within this hour".to_owned()),
        Turn::Drop => ("drop", format!("within {minutes} min")),
    };
    let (observed, expected) = (format!("{} lines {span}", departure.observed), format!("{low}–{high}"));
    Some(Evidence {
        detector: NAME,
        subject: format!("{name} {}", departure.template.map_or(0, |template| template.0)),
        template: departure.template,
        score: departure.score,
        sentence: format!("{} lines {what} {span}, normally {expected}", departure.observed),
        observed,
        expected: format!("{expected} lines"),
        lines,
        count: departure.observed,
        first: stats.iter().map(|stat| stat.first).min().map_or(from, |first| first.clamp(from, to)),
        last: stats.iter().map(|stat| stat.last).max().map_or(to, |last| last.clamp(from, to)),
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
    })
}

/// The counts a departure is about, most lines first.
fn stats<'a>(departure: &Departure, closing: &Closing<'a>) -> Vec<&'a TemplateStat> {
    let is_meant = |id: &TemplateId| departure.template.is_none_or(|meant| (closing.resolve)(*id) == meant);
    let mut stats: Vec<(&TemplateId, &TemplateStat)> =
        closing.window.templates.iter().filter(|(id, _)| is_meant(id)).collect();
    stats.sort_by_key(|(id, stat)| (std::cmp::Reverse(stat.count), **id));
    stats.into_iter().map(|(_, stat)| stat).collect()
}

fn quotes(stat: &TemplateStat) -> impl Iterator<Item = EvidenceLine> {
    [&stat.head].into_iter().chain(stat.telling.iter().take(1)).chain(&stat.tail).cloned()
}
