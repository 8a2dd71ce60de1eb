//! Detectors: what is unusual for a group (host), learnt from its own lines and told without a model.
//!
//! Every line goes in; at the end of a window evidence comes out, each piece with what was observed, what was expected
//! and real lines. Memory is bounded, deterministic, and written row by row with the window that changed it; after a
//! crash the window's lines are read again from there.

mod ensemble;
mod evidence;
mod memory;
mod settings;

pub use ensemble::combine;
pub use evidence::Evidence;
pub use memory::Part;
pub use settings::{DETECTORS, Settings};

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
pub struct GroupDetect {}

impl GroupDetect {
    /// Takes a line; says how surprising it is by itself, in [0, 1].
    pub fn line(&mut self, _settings: &Settings, _sighting: &Sighting<'_>) -> f32 {
        0.0
    }

    /// Ends the window: says what was unusual, and learns it.
    pub fn close(&mut self, _closing: &Closing<'_>) -> Vec<Evidence> {
        Vec::new()
    }

    /// What changed since the last call.
    pub fn save(&mut self) -> Vec<MemoryRow> {
        Vec::new()
    }

    /// Takes a row back that an earlier run has written.
    pub fn restore(&mut self, row: &MemoryRow) {
        let Some(_part) = Part::from_number(row.part) else {
            return; // of a newer version
        };
    }
}
