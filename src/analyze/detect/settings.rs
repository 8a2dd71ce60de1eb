//! What the operator may set about the detectors.

use std::collections::BTreeMap;

/// Settings of all detectors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether detectors run at all; rules do in any case.
    pub enabled: bool,
    /// What the detectors are sure of together below this makes no finding.
    pub threshold: f64,
    /// How much each detector counts, by its name (see [`DETECTORS`]).
    pub weights: BTreeMap<String, f64>,
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
        Settings { enabled: true, threshold: 0.8, weights: weights.into() }
    }
}
