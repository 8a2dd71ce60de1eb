//! Whether another call is within the budget.

use crate::{model::Budget, store::model_call::Usage, telemetry::LlmMetrics};

impl Budget {
    /// The limit that is reached, by name, given the usage of the last hour and day. Shows what is left of each.
    pub fn reached(&self, hour: &Usage, day: &Usage, metrics: &LlmMetrics) -> Option<&'static str> {
        let tokens = |usage: &Usage| usage.input_tokens.saturating_add(usage.output_tokens);
        let limits = [
            ("calls_per_hour", self.calls_per_hour, hour.calls),
            ("calls_per_day", self.calls_per_day, day.calls),
            ("tokens_per_hour", self.tokens_per_hour, tokens(hour)),
            ("tokens_per_day", self.tokens_per_day, tokens(day)),
            ("cost_per_day", self.cost_micros_per_day, day.cost_micros),
        ];
        let mut reached = None;
        for (name, limit, used) in limits {
            let Some(limit) = limit else { continue };
            let left = limit.saturating_sub(used);
            metrics.show_budget_left(name, left as f64 / limit.max(1) as f64);
            if left == 0 {
                reached = reached.or(Some(name));
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn the_first_spent_limit_is_named() {
        let metrics = Metrics::new().unwrap().llm;
        let budget = Budget { calls_per_hour: Some(2), tokens_per_day: Some(100), ..Budget::default() };
        let usage = |calls, input_tokens| Usage { calls, input_tokens, ..Usage::default() };
        assert_eq!(budget.reached(&usage(1, 10), &usage(1, 99), &metrics), None);
        assert_eq!(budget.reached(&usage(2, 10), &usage(2, 99), &metrics), Some("calls_per_hour"));
        assert_eq!(budget.reached(&usage(1, 10), &usage(1, 100), &metrics), Some("tokens_per_day"));
    }
}
