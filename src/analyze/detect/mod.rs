//! Detectors: what is unusual for a group (host), learnt from its own lines and told without a model.
//!
//! Every line goes in; at the end of a window evidence comes out, each piece with what was observed, what was expected
//! and real lines. Memory is bounded, deterministic, and written row by row with the window that changed it; after a
//! crash the window's lines are read again from there.

pub mod pack;
pub mod parameter;
pub mod sequence;

mod adwin;
mod count;
mod drift;
mod ensemble;
mod evidence;
mod frequency;
mod late;
mod learning;
mod memory;
mod novelty;
mod profile;
mod rates;
mod settings;
mod silence;
mod skew;
mod tail;
mod watch;
mod words;

pub use drift::NAME as DRIFT;
pub use ensemble::combine;
pub use evidence::Evidence;
pub use memory::Part;
pub use settings::{DETECTORS, Settings};
pub use silence::{EVERYTHING, NAME as SILENCE, Return, THIS_HOST, Tick};

use crate::{
    analyze::{line::Line, mine, window::OpenWindow},
    model::{TemplateId, Timestamp},
    store::memory::MemoryRow,
    wire::level::Level,
};

/// One line as detectors see it.
#[derive(Clone, Copy)]
pub struct Sighting<'a> {
    /// The line.
    pub line: &'a Line<'a>,
    /// Its template.
    pub template: TemplateId,
    /// What it did to the template.
    pub change: mine::Change,
    /// Its variable parts; their text is in the line's message.
    pub values: &'a [mine::Value],
    /// When it arrived.
    pub received: Timestamp,
    /// Whether a rule matched it.
    pub hit: bool,
    /// How serious its template's first line in this window says it is.
    pub level: Level,
    /// Written long before or after it arrived: never counts for rates.
    pub is_late: bool,
}

/// A window at its end.
pub struct Closing<'a> {
    /// What the operator set.
    pub settings: &'a Settings,
    /// The group's name (a host); may be empty.
    pub group: &'a str,
    /// The counts of the window.
    pub window: &'a OpenWindow,
    /// The end.
    pub now: Timestamp,
    /// The text of a template.
    pub text_of: &'a dyn Fn(TemplateId) -> Option<String>,
    /// The id under which a template is known now.
    pub resolve: &'a dyn Fn(TemplateId) -> TemplateId,
}

/// What is remembered of one group by all detectors.
#[derive(Default)]
pub struct GroupDetect {
    learning: learning::Learning,
    skew: skew::Skew,
    late: late::Late,
    frequency: frequency::Frequency,
    silence: silence::Silence,
    novelty: novelty::Novelty,
    drift: drift::Drift,
    parameter: parameter::Parameters,
    sequence: sequence::Detector,
    returns: Vec<Return>,
}

impl GroupDetect {
    /// Nothing seen, nothing learnt.
    pub fn new(settings: &Settings) -> Self {
        let sequence = sequence::Detector::new(settings.sequence.clone());
        GroupDetect { sequence, ..GroupDetect::default() }
    }

    /// Whether a line came so much later or earlier than is usual here that it says nothing about now.
    pub fn is_late(&mut self, settings: &Settings, event: Timestamp, received: Timestamp) -> bool {
        self.skew.is_late(settings.settle, event, received)
    }

    /// Takes a line; says how surprising it is by itself, in [0, 1].
    pub fn line(&mut self, settings: &Settings, sighting: &Sighting<'_>) -> f32 {
        self.late.line(sighting);
        self.silence.line(sighting);
        let value = self.parameter.line(&settings.parameter, sighting).max(self.sequence.line(sighting));
        match sighting.change {
            mine::Change::New => {
                value.max(self.novelty.surprise(&sighting.line.envelope.message, sighting.level) as f32)
            }
            _ => value,
        }
    }

    /// Ends the window: says what was unusual, and learns it.
    pub fn close(&mut self, closing: &Closing<'_>) -> Vec<Evidence> {
        let late = std::mem::take(&mut self.late);
        let is_learning = self.learning.close(closing.settings, closing.window.opened, closing.now);
        self.skew.close(closing.now);
        let mut evidence = self.frequency.close(closing, &late, is_learning);
        evidence.extend(self.novelty.close(closing, &late));
        evidence.extend(self.parameter.close(&closing.settings.parameter, closing));
        evidence.extend(self.sequence.close(closing, is_learning));
        let (silent, returns) = self.silence.close(closing, is_learning);
        evidence.extend(silent);
        self.returns.extend(returns);
        if is_learning {
            return Vec::new(); // only rules speak before normal is known
        }
        let oddest = evidence.iter().map(|evidence| evidence.score).fold(0.0, f64::max);
        if let Some(changed) = self.drift.close(closing, oddest)
            && self.learning.restart(closing.settings, closing.now)
        {
            evidence.push(changed);
            self.frequency.clear();
        }
        evidence
    }

    /// Time passes without a window; to be called every minute or so for every group, never while lines wait to be read.
    pub fn tick(&mut self, tick: &Tick<'_>, text_of: &dyn Fn(TemplateId) -> Option<String>) -> Vec<Evidence> {
        if self.learning.is_learning(tick.settings) {
            return Vec::new();
        }
        self.silence.tick(tick, text_of)
    }

    /// What was reported as missing and is back for good since the last call.
    pub fn take_returns(&mut self) -> Vec<Return> {
        std::mem::take(&mut self.returns)
    }

    /// When anything was last heard of the group.
    pub fn last_heard(&self) -> Option<Timestamp> {
        self.silence.last_heard()
    }

    /// Whether only rules may speak yet.
    pub fn is_learning(&self, settings: &Settings) -> bool {
        self.learning.is_learning(settings)
    }

    /// Ends the learning: the lines so far were given as normal.
    pub fn finish_learning(&mut self, now: Timestamp) {
        self.learning.finish(now);
        self.parameter.finish_learning();
    }

    /// Memory taken, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.frequency.bytes()
            + self.silence.bytes()
            + self.parameter.bytes()
            + self.sequence.sessions().bytes()
    }

    /// What changed since the last call.
    pub fn save(&mut self) -> Vec<MemoryRow> {
        let mut rows = Vec::new();
        self.learning.save(&mut rows);
        self.skew.save(&mut rows);
        self.frequency.save(&mut rows);
        self.silence.save(&mut rows);
        self.novelty.save(&mut rows);
        self.drift.save(&mut rows);
        self.parameter.save(&mut rows);
        self.sequence.save(&mut rows);
        rows
    }

    /// What ticks changed since the last call: the other detectors learn from lines only.
    pub fn save_silence(&mut self) -> Vec<MemoryRow> {
        let mut rows = Vec::new();
        self.silence.save(&mut rows);
        rows
    }

    /// Takes a row back that an earlier run has written.
    pub fn restore(&mut self, row: &MemoryRow) {
        let (Some(part), Some(state)) = (Part::from_number(row.part), &row.state) else {
            return; // of a newer version
        };
        match part {
            Part::Learning => self.learning.restore(state),
            Part::Skew => self.skew.restore(state),
            Part::Frequency | Part::Course => self.frequency.restore(part, row.key, state),
            Part::Silence => self.silence.restore(row.key, state),
            Part::Novelty => self.novelty.restore(state),
            Part::Drift => self.drift.restore(row.key, state),
            Part::Parameter | Part::Trees => self.parameter.restore(row),
            Part::Session | Part::Sequence => self.sequence.restore(row),
        }
    }
}
