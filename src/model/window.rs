//! A window: the lines of one group (tenant and host) that were analysed together.

use serde::{Deserialize, Serialize};

use super::{TenantId, Timestamp};

/// A stored window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowId(pub i64);

/// What became of a window. "Nothing found" and "analysis failed" are never the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// Urgent findings were written early; the window still collects lines.
    Open,
    /// Nothing suspicious: no model was asked.
    Quiet,
    /// Rules and detectors spoke; no model is configured, or none was wanted.
    RulesOnly,
    /// Waits for the model.
    Pending,
    /// The model answered and its answer was grounded.
    Analysed,
    /// The model could not be asked or did not answer usefully; the rules' findings stand.
    Failed,
    /// The budget for model calls was spent; the rules' findings stand.
    OverBudget,
}

impl WindowState {
    /// Every state.
    pub const ALL: [WindowState; 7] = [
        WindowState::Open,
        WindowState::Quiet,
        WindowState::RulesOnly,
        WindowState::Pending,
        WindowState::Analysed,
        WindowState::Failed,
        WindowState::OverBudget,
    ];

    /// The name used in JSON, the database and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            WindowState::Open => "open",
            WindowState::Quiet => "quiet",
            WindowState::RulesOnly => "rules_only",
            WindowState::Pending => "pending",
            WindowState::Analysed => "analysed",
            WindowState::Failed => "failed",
            WindowState::OverBudget => "over_budget",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        WindowState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What asking a model about one window took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelUse {
    /// Provider and model.
    pub model: String,
    /// Prompt family and version.
    pub prompt: String,
    /// SHA-256 of what was asked, in hexadecimal: model, instructions and digest; empty in rows of earlier versions.
    #[serde(default)]
    pub digest: String,
    /// Whether the answer came from the cache of equal digests.
    pub cached: bool,
    /// Calls made, repairs and retries included.
    pub calls: u32,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Price in millionths of a dollar; `None` when no price is known.
    pub cost_micros: Option<u64>,
    /// Claims the model made.
    pub claims: u32,
    /// Claims that failed grounding and were dropped.
    pub dropped: u32,
}

/// A window as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowRecord {
    /// Identity.
    pub id: WindowId,
    /// Whose lines.
    pub tenant: TenantId,
    /// The group within the tenant: a host, unless configured otherwise.
    pub group: String,
    /// First line's time.
    pub from: Timestamp,
    /// Last line's time.
    pub to: Timestamp,
    /// When the window was closed.
    pub closed_at: Timestamp,
    /// Lines in it.
    pub lines: u64,
    /// Lines that rules or detectors pointed at.
    pub suspicious: u64,
    /// Distinct templates in it.
    pub templates: u64,
    /// What became of it.
    pub state: WindowState,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What asking the model took, if it was asked.
    pub model: Option<ModelUse>,
}
