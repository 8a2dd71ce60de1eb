//! How bad a finding is.

use serde::{Deserialize, Serialize};

/// Ordered from harmless to urgent. `Info` never alerts on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth keeping as evidence.
    Info,
    /// Look at it when there is time.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// All severities, lowest first.
    pub const ALL: [Severity; 5] =
        [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The name used in JSON, the database and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == text)
    }

    /// Rank for sorting and storing: 0 (info) to 4 (critical).
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// The severity of a rank; ranks above 4 are critical.
    pub fn from_rank(rank: u8) -> Self {
        Severity::ALL.get(usize::from(rank)).copied().unwrap_or(Severity::Critical)
    }

    /// One step up, at most critical.
    #[must_use]
    pub fn raised(self) -> Self {
        Severity::from_rank(self.rank().saturating_add(1))
    }
}
