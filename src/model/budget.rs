//! How much asking a model may cost, for the whole server.

use serde::Serialize;

/// Limits on what the model may use. A limit that is `None` does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Calls within any hour.
    pub calls_per_hour: Option<u64>,
    /// Calls within any day.
    pub calls_per_day: Option<u64>,
    /// Tokens sent and received within any hour.
    pub tokens_per_hour: Option<u64>,
    /// Tokens sent and received within any day.
    pub tokens_per_day: Option<u64>,
    /// Millionths of a dollar within any day; needs configured prices, calls without one count nothing.
    pub cost_micros_per_day: Option<u64>,
}

impl Default for Budget {
    /// One window a minute for a few hosts, about 0.40 dollars a day with a small model.
    fn default() -> Self {
        Budget {
            calls_per_hour: Some(120),
            calls_per_day: Some(1_000),
            tokens_per_hour: Some(500_000),
            tokens_per_day: Some(3_000_000),
            cost_micros_per_day: None,
        }
    }
}
