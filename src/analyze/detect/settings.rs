//! What the operator may set about the detectors.

use std::{collections::BTreeMap, time::Duration};

use super::{parameter, sequence};

/// Settings of all detectors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether detectors run at all; rules do in any case.
    pub enabled: bool,
    /// What the detectors are sure of together below this makes no finding.
    pub threshold: f64,
    /// How much each detector counts, by its name (see [`DETECTORS`]).
    pub weights: BTreeMap<String, f64>,
    /// Time with lines that a group (host) is learnt before its detectors speak; 0 means no learning.
    pub learning: Duration,
    /// Windows that it is learnt at least.
    pub learning_windows: u64,
    /// A line that came this much later or earlier than is usual never counts as the rate of now.
    pub settle: Duration,
    /// Lines of a template in a window below which nothing is a spike; in an hour twice, of all templates four times.
    pub spike_min: u64,
    /// How many times the usual a spike is at least.
    pub spike_ratio: f64,
    /// A silence shorter than this is never told.
    pub silence: Duration,
    /// Templates whose rate is remembered per group; the least recently seen goes first.
    pub max_templates: usize,
    /// Memory for what detectors have learnt of all groups; those silent for longest wait in the store until they speak
    /// again.
    pub max_bytes: usize,
    /// Unusual values.
    pub parameter: parameter::Settings,
    /// Sessions that go another way than usual.
    pub sequence: sequence::Settings,
}

/// The names of the detectors, with how much each counts unless told otherwise.
pub const DETECTORS: [(&str, f64); 6] = [
    ("frequency", 0.4),
    ("parameter", 0.3),
    ("sequence", 0.3),
    ("novelty", 0.4),
    ("silence", 0.4),
    ("drift", 0.4),
];

impl Default for Settings {
    fn default() -> Self {
        let weights = DETECTORS.map(|(name, weight)| (name.to_owned(), weight));
        Settings {
            enabled: true,
            threshold: 0.8,
            weights: weights.into(),
            learning: Duration::from_secs(86_400),
            learning_windows: 50,
            settle: Duration::from_secs(600),
            spike_min: 50,
            spike_ratio: 3.0,
            silence: Duration::from_secs(600),
            max_templates: 2_000,
            max_bytes: 64 << 20,
            parameter: parameter::Settings::default(),
            sequence: sequence::Settings::default(),
        }
    }
}
