//! What the operator may set about the analysis.

use std::time::Duration;

use super::{detect, mine};

/// Settings of windows and of what happens in them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether lines are analysed at all; off, Sigyn only buffers and forwards.
    pub enabled: bool,
    /// How long a window collects lines, counted from its first line's arrival.
    pub window: Duration,
    /// Lines after which a window is closed early.
    pub max_window_lines: u64,
    /// The first of these labels that a stream has names its group; lines are analysed per tenant and group.
    pub group_by: Vec<String>,
    /// Equal findings within this time are one finding whose count grows.
    pub dedup: Duration,
    /// Findings of urgent rules are written at once, at most this often per group.
    pub urgent_interval: Duration,
    /// Templates held by all open windows together; above it the windows are closed early.
    pub max_open_templates: usize,
    /// Groups in memory at most; the one silent for longest waits in the store until it has lines again.
    pub max_groups: usize,
    /// Whether a model is configured: windows with something to say then wait for its words.
    pub ask_model: bool,
    /// Template mining.
    pub mine: mine::Settings,
    /// What is learnt as normal, and what is not normal enough to be told.
    pub detect: detect::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: true,
            window: Duration::from_secs(60),
            max_window_lines: 500_000,
            group_by: [
                "host",
                "hostname",
                "instance",
                "nodename",
                "node",
                "node_name",
                "server",
                // OpenTelemetry's `host.name`.
                "host_name",
            ]
            .map(str::to_owned)
            .to_vec(),
            dedup: Duration::from_secs(3_600),
            urgent_interval: Duration::from_secs(1),
            max_open_templates: 100_000,
            max_groups: 5_000,
            ask_model: false,
            mine: mine::Settings::default(),
            detect: detect::Settings::default(),
        }
    }
}
