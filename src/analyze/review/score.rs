//! How much a single line deserves to be looked at, once everything is known about its file.
//!
//! A rule's word counts first. What no rule knows is judged by how bad the line says it is, how rare its template is in
//! all that was read, whether the template was there when it was learnt what is normal, and how much the detectors were
//! surprised. Each is a chance to matter; together they are surer than any one.

use rustc_hash::FxHashMap;

use crate::{
    analyze::engine::Noted,
    model::{Severity, TemplateId},
    wire::level::Level,
};

/// From this score on a line is called an anomaly.
pub const ANOMALY: f64 = 0.8;
/// Templates counted one by one; a hostile stream makes more.
const MAX_COUNTED: usize = 1_000_000;

/// What is remembered of a line until the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// Its template when it was read.
    pub template: u64,
    /// The worst severity of what a rule says it may be part of.
    pub severity: Option<Severity>,
    /// How serious it says it is.
    pub level: Level,
    /// How surprising the detectors found it.
    pub surprise: f32,
    /// The source address a rule found in it.
    pub source: Option<Box<str>>,
}

impl Note {
    /// Takes note of a line.
    pub fn of(noted: &Noted<'_>, level: Level) -> Self {
        Note {
            template: noted.template.0,
            severity: noted.verdict.standing,
            level,
            surprise: noted.surprise,
            source: noted.verdict.source.clone(),
        }
    }
}

/// How often each template was met.
#[derive(Clone, Debug, Default)]
pub struct Census {
    counts: FxHashMap<TemplateId, u64>,
    lines: u64,
}

impl Census {
    /// Counts a line under its template.
    pub fn count(&mut self, template: TemplateId) {
        self.lines += 1;
        let is_full = self.counts.len() >= MAX_COUNTED;
        match self.counts.get_mut(&template) {
            Some(count) => *count += 1,
            None if is_full => {}
            None => drop(self.counts.insert(template, 1)),
        }
    }

    /// The counts under the ids that templates have now.
    #[must_use]
    pub fn resolved(self, mut resolve: impl FnMut(TemplateId) -> TemplateId) -> Self {
        let mut counts = FxHashMap::default();
        for (id, count) in self.counts {
            *counts.entry(resolve(id)).or_default() += count;
        }
        Census { counts, lines: self.lines }
    }

    /// Every template with its lines, most lines first.
    pub fn ranked(&self) -> Vec<(TemplateId, u64)> {
        let mut ranked: Vec<_> = self.counts.iter().map(|(id, count)| (*id, *count)).collect();
        ranked.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        ranked
    }

    fn of(&self, template: TemplateId) -> u64 {
        self.counts.get(&template).copied().unwrap_or(0)
    }

    /// 0 for what every line is, close to 1 for what is met once in very many lines.
    fn rarity(&self, template: TemplateId) -> f64 {
        let (count, lines) = (self.of(template) as f64, self.lines as f64);
        (1.0 - count.max(1.0).ln() / (lines + 1.0).ln()).clamp(0.0, 1.0)
    }
}

/// Scores lines.
#[derive(Clone, Debug, Default)]
pub struct Scorer {
    /// What was judged.
    pub judged: Census,
    /// What normal was learnt from, if anything was.
    pub learnt: Option<Census>,
}

impl Scorer {
    /// The score of a line whose template is now known as `template`, in [0, 1].
    pub fn score(&self, note: &Note, template: TemplateId) -> f64 {
        let by_rule = match note.severity {
            None => 0.0,
            Some(Severity::Info) => 0.4,
            Some(Severity::Low) => 0.82,
            Some(Severity::Medium) => 0.88,
            Some(Severity::High) => 0.94,
            Some(Severity::Critical) => 0.98,
        };
        let by_level = match note.level {
            Level::Fatal => 0.55,
            Level::Critical => 0.5,
            Level::Error => 0.4,
            Level::Warn => 0.2,
            _ => 0.0,
        };
        // Among a handful of lines everything is rare.
        let known = self.judged.lines as f64 / (self.judged.lines as f64 + 50.0);
        let by_rarity = 0.35 * known * self.judged.rarity(template);
        let by_novelty = match &self.learnt {
            Some(learnt) if learnt.of(template) == 0 => 0.6,
            Some(learnt) => 0.2 * learnt.rarity(template),
            None => 0.0,
        };
        // What surprises at the beginning of a file surprises in every file.
        let trust = if self.learnt.is_some() { 1.0 } else { 0.3 };
        let by_surprise = trust * f64::from(note.surprise).clamp(0.0, 0.99);
        let quiet: f64 =
            [by_rule, by_level, by_rarity, by_novelty, by_surprise].iter().map(|p| 1.0 - p).product();
        1.0 - quiet
    }

    /// Whether a line of this score is called an anomaly: sure enough, or known to a rule as more than a note.
    pub fn is_anomaly(note: &Note, score: f64) -> bool {
        score >= ANOMALY || note.severity > Some(Severity::Info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scorer(learnt: Option<&[(u64, u64)]>, judged: &[(u64, u64)]) -> Scorer {
        let census = |counts: &[(u64, u64)]| Census {
            counts: counts.iter().map(|(id, count)| (TemplateId(*id), *count)).collect(),
            lines: counts.iter().map(|(_, count)| count).sum(),
        };
        Scorer { judged: census(judged), learnt: learnt.map(census) }
    }

    fn score(scorer: &Scorer, template: u64, level: Level, severity: Option<Severity>) -> f64 {
        scorer.score(&Note { template, severity, level, ..Note::default() }, TemplateId(template))
    }

    #[test]
    fn a_rules_word_is_enough_and_rarity_alone_is_not() {
        let scorer = scorer(None, &[(1, 9_999), (2, 1)]);
        let (common, rare) = (score(&scorer, 1, Level::Info, None), score(&scorer, 2, Level::Info, None));
        assert!(common < 0.01 && rare > 0.3 && rare < ANOMALY, "{common} {rare}");
        let hit = score(&scorer, 1, Level::Info, Some(Severity::Low));
        assert!(hit >= ANOMALY && hit < score(&scorer, 1, Level::Info, Some(Severity::Critical)));
        assert!(score(&scorer, 1, Level::Info, Some(Severity::Info)) < ANOMALY);
    }

    #[test]
    fn what_was_never_learnt_is_an_anomaly_when_it_is_bad_as_well() {
        let scorer = scorer(Some(&[(1, 1_000), (2, 10)]), &[(1, 900), (2, 50), (3, 1)]);
        assert!(score(&scorer, 3, Level::Error, None) >= ANOMALY);
        assert!(score(&scorer, 2, Level::Error, None) < ANOMALY);
        assert!(score(&scorer, 3, Level::Info, None) < ANOMALY);
        assert!(score(&scorer, 3, Level::Info, None) > score(&scorer, 2, Level::Error, None));
    }

    #[test]
    fn templates_that_were_merged_are_counted_as_one() {
        let mut census = Census::default();
        for id in [1, 2, 2, 3] {
            census.count(TemplateId(id));
        }
        let census = census.resolved(|id| if id == TemplateId(1) { TemplateId(3) } else { id });
        assert_eq!(census.ranked(), [(TemplateId(2), 2), (TemplateId(3), 2)]);
    }
}
