//! What asking a model about windows would cost, without asking it: the same questions are made and counted.
//!
//! Tokens are estimated from above, so the real cost is lower. Questions equal to one within the cache's age cost
//! nothing; those beyond the budget of their hour or day would not have been asked.

use rustc_hash::FxHashMap;

use super::Settings;
use crate::{
    analyze::{
        ask::{Digest, fenced, instructions, screen_instructions},
        exhibit::Exhibit,
    },
    llm::{Model, Tier, tokens_at_most},
    model::Timestamp,
    redact::{Redacted, Redactor},
};

/// Tokens of an answer: three claims of usual length, and a short yes or no.
const EXPLAIN_OUTPUT: u64 = 600;
const SCREEN_OUTPUT: u64 = 60;
/// Questions remembered for the cache.
const MAX_REMEMBERED: usize = 100_000;

/// What a model would have been asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// Windows with something to say.
    pub windows: u64,
    /// Of these, answered from the cache.
    pub cached: u64,
    /// Of these, not asked because the budget was spent.
    pub over_budget: u64,
    /// Calls.
    pub calls: u64,
    /// Tokens sent, at most.
    pub input_tokens: u64,
    /// Tokens received, about.
    pub output_tokens: u64,
    /// Millionths of a dollar, at most; `None` where the model's price is not known.
    pub cost_micros: Option<u64>,
}

/// What was used in the hour or day that holds the last question.
#[derive(Default)]
struct Period {
    number: i64,
    calls: u64,
    tokens: u64,
    cost_micros: u64,
}

impl Period {
    fn go_to(&mut self, number: i64) {
        if self.number != number {
            *self = Period { number, ..Period::default() };
        }
    }

    fn add(&mut self, calls: u64, tokens: u64, cost_micros: u64) {
        self.calls += calls;
        self.tokens = self.tokens.saturating_add(tokens);
        self.cost_micros = self.cost_micros.saturating_add(cost_micros);
    }
}

/// Makes the questions and counts them.
pub struct Estimator {
    settings: Settings,
    model: Option<Model>,
    redactor: Redactor,
    system: Redacted,
    answered: FxHashMap<[u8; 32], Timestamp>,
    hour: Period,
    day: Period,
    estimate: Estimate,
}

impl Estimator {
    /// Without a model there is no price, and no small model that screens.
    pub fn new(settings: Settings, model: Option<Model>) -> Self {
        let redactor = match model.as_ref().is_some_and(|model| model.settings().sees_raw()) {
            true => Redactor::for_local_model(),
            false => Redactor::new(settings.redact),
        };
        let system = instructions(settings.family, &settings.instructions, &settings.language, redactor);
        let estimate = Estimate { cost_micros: model.as_ref().map(|_| 0), ..Estimate::default() };
        let (hour, day, answered) = (Period::default(), Period::default(), FxHashMap::default());
        Estimator { settings, model, redactor, system, answered, hour, day, estimate }
    }

    /// Counts the question about a window that ended at `now`.
    pub fn window(&mut self, exhibit: &Exhibit, now: Timestamp) {
        self.estimate.windows += 1;
        let mut session = self.redactor.session();
        let digest = Digest::render(exhibit, &mut session, self.settings.prompt_tokens, self.system.len());
        let name = self.model.as_ref().map(|model| model.full_name(Tier::Explain)).unwrap_or_default();
        let hash = digest.hash(&name, &self.system);
        if self.answered.get(&hash).is_some_and(|last| now.since(*last) <= self.settings.cache_age) {
            self.estimate.cached += 1;
            return;
        }
        self.hour.go_to(now.as_secs().div_euclid(3_600));
        self.day.go_to(now.as_secs().div_euclid(86_400));
        if self.is_spent() {
            self.estimate.over_budget += 1;
            return;
        }
        if self.answered.len() >= MAX_REMEMBERED {
            self.answered.clear();
        }
        self.answered.insert(hash, now);
        let question = tokens_at_most(fenced(&digest, 0).as_str());
        if self.model.as_ref().is_some_and(Model::screens) {
            let system = tokens_at_most(screen_instructions().as_str());
            self.call(Tier::Screen, system + question, SCREEN_OUTPUT);
        }
        self.call(Tier::Explain, tokens_at_most(self.system.as_str()) + question, EXPLAIN_OUTPUT);
    }

    /// What it came to so far.
    pub fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn call(&mut self, tier: Tier, input: u64, output: u64) {
        let cost = self.model.as_ref().and_then(|model| model.cost(tier, input, output));
        self.estimate.calls += 1;
        self.estimate.input_tokens = self.estimate.input_tokens.saturating_add(input);
        self.estimate.output_tokens = self.estimate.output_tokens.saturating_add(output);
        self.estimate.cost_micros =
            self.estimate.cost_micros.zip(cost).map(|(sum, one)| sum.saturating_add(one));
        for period in [&mut self.hour, &mut self.day] {
            period.add(1, input.saturating_add(output), cost.unwrap_or(0));
        }
    }

    fn is_spent(&self) -> bool {
        let budget = &self.settings.budget;
        let limits = [
            (budget.calls_per_hour, self.hour.calls),
            (budget.calls_per_day, self.day.calls),
            (budget.tokens_per_hour, self.hour.tokens),
            (budget.tokens_per_day, self.day.tokens),
            (budget.cost_micros_per_day, self.day.cost_micros),
        ];
        limits.iter().any(|(limit, used)| limit.is_some_and(|limit| *used >= limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Budget;

    fn exhibit(group: &str, lines: u64) -> Exhibit {
        // The group stands in the head, which is no part of what makes questions equal; the omitted lines do.
        Exhibit { group: group.to_owned(), lines, omitted_lines: lines, ..Exhibit::default() }
    }

    #[test]
    fn equal_questions_cost_once_and_those_beyond_the_budget_of_their_hour_nothing() {
        let budget = Budget { calls_per_hour: Some(2), ..Budget::default() };
        let mut estimator = Estimator::new(Settings { budget, ..Settings::default() }, None);
        let at = |secs: i64| Timestamp::from_secs(1_800_000_000 + secs);
        estimator.window(&exhibit("a", 1), at(0));
        estimator.window(&exhibit("b", 1), at(60));
        estimator.window(&exhibit("a", 2), at(120));
        estimator.window(&exhibit("a", 3), at(180));
        estimator.window(&exhibit("a", 4), at(3_700));
        let estimate = estimator.estimate();
        assert_eq!((estimate.windows, estimate.cached, estimate.over_budget), (5, 1, 1));
        assert_eq!((estimate.calls, estimate.output_tokens), (3, 3 * EXPLAIN_OUTPUT));
        assert!(estimate.input_tokens > 3 * tokens_at_most(estimator.system.as_str()));
        assert_eq!(estimate.cost_micros, None, "no model, no price");
    }
}
