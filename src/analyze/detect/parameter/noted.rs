//! The surprises of one window: the worst few, each with a line that shows it, and what is said of them at its end.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{
    NAME, Settings,
    odds::{self, Odds},
    position::{Chance, What},
    profile::{Found, Profile},
};
use crate::{
    analyze::{
        detect::{Closing, Evidence, Sighting},
        window,
    },
    model::{EvidenceLine, TemplateId, Timestamp},
};

/// Surprises kept in a window, and of one template.
const MAX_NOTED: usize = 64;
const MAX_PER_TEMPLATE: usize = 6;
/// Less than this is not kept.
const LEAST: f64 = 0.2;
/// Values and lines quoted in one piece of evidence.
const MAX_QUOTED: usize = 3;
/// Characters of a value and of a template in a sentence.
const MAX_VALUE: usize = 60;
const MAX_TEMPLATE: usize = 100;
/// Names of positions where accounts stand.
const USERS: [&str; 10] =
    ["user", "username", "user_name", "login", "account", "acct", "ruser", "uname", "logname", "for"];

/// The surprises of the open window.
#[derive(Debug, Default)]
pub(super) struct Noted {
    all: Vec<Surprise>,
    /// The most surprising number, noted or not.
    exponent: Option<f64>,
    /// Whether a value was new where none was expected, noted or not.
    novel: bool,
}

#[derive(Debug)]
struct Surprise {
    template: TemplateId,
    at: (u16, u8),
    what: What,
    tag: u64,
    chance: Chance,
    text: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    line: EvidenceLine,
}

/// A new value counts against its host where it was no more expected than this.
const UNEXPECTED: f64 = 10.0;

impl Noted {
    /// Takes an unusual value; says how surprising it is.
    pub(super) fn take(&mut self, odds: &Odds, sighting: &Sighting<'_>, at: (u16, u8), found: &Found) -> f64 {
        let score = odds::score(per_day(odds, found.odd.chance));
        if sighting.hit {
            return score; // the rule speaks
        }
        match found.odd.chance {
            Chance::Novel(weight) => self.novel |= weight <= UNEXPECTED,
            Chance::Tail(exponent) => self.exponent = Some(self.exponent.unwrap_or(0.0).max(exponent)),
        }
        if score < LEAST {
            return score;
        }
        let template = sighting.template;
        let known = |noted: &&mut Surprise| {
            (noted.template, noted.at, noted.what, noted.tag) == (template, at, found.odd.what, found.odd.tag)
        };
        if let Some(noted) = self.all.iter_mut().find(known) {
            noted.count += 1;
            noted.first = noted.first.min(sighting.line.timestamp);
            noted.last = noted.last.max(sighting.line.timestamp);
            if certainty(found.odd.chance) > certainty(noted.chance) {
                noted.chance = found.odd.chance;
                noted.text = value(sighting, found);
                noted.line = window::quote(sighting.line);
            }
        } else if let Some(place) = self.place(template, found.odd.chance, odds) {
            self.all.insert(
                place,
                Surprise {
                    template,
                    at,
                    what: found.odd.what,
                    tag: found.odd.tag,
                    chance: found.odd.chance,
                    text: value(sighting, found),
                    count: 1,
                    first: sighting.line.timestamp,
                    last: sighting.line.timestamp,
                    line: window::quote(sighting.line),
                },
            );
        }
        score
    }

    /// Where a further surprise goes: at the end, or in place of the weakest, which it must exceed.
    fn place(&mut self, template: TemplateId, chance: Chance, odds: &Odds) -> Option<usize> {
        let same = self.all.iter().filter(|noted| noted.template == template).count();
        if same < MAX_PER_TEMPLATE && self.all.len() < MAX_NOTED {
            return Some(self.all.len());
        }
        let rivals = self.all.iter().enumerate();
        let rivals = rivals.filter(|(_, noted)| same < MAX_PER_TEMPLATE || noted.template == template);
        let (weakest, rate) = rivals
            .map(|(place, noted)| (place, per_day(odds, noted.chance)))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        (per_day(odds, chance) < rate).then(|| {
            self.all.remove(weakest);
            weakest
        })
    }

    /// The most surprising number of the window, and whether a value was new where none was expected.
    pub(super) fn worst(&self) -> (Option<f64>, bool) {
        let again = self.all.iter().filter_map(Surprise::exponent).max_by(f64::total_cmp);
        ([self.exponent, again].into_iter().flatten().max_by(f64::total_cmp), self.novel)
    }

    /// What is to be told of the window, the surest first; judged by what was known before it.
    pub(super) fn evidence(&mut self, known: &Known<'_>, closing: &Closing<'_>) -> Vec<Evidence> {
        self.exponent = None;
        self.novel = false;
        let mut all = std::mem::take(&mut self.all);
        all.sort_by_key(|noted| (noted.template, noted.at, noted.what));
        let alike = |a: &Surprise, b: &Surprise| (a.template, a.at, a.what) == (b.template, b.at, b.what);
        let mut evidence: Vec<Evidence> =
            all.chunk_by(alike).filter_map(|group| known.evidence(group, closing)).collect();
        evidence.retain(|evidence| evidence.score >= known.settings.least_score);
        evidence.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.subject.cmp(&b.subject)));
        evidence.truncate(known.settings.max_evidence);
        evidence
    }
}

/// What was known before the window.
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) odds: &'a Odds,
    pub(super) profiles: &'a FxHashMap<TemplateId, Box<Profile>>,
}

impl Known<'_> {
    /// What is said of surprises of one kind at one position.
    fn evidence(&self, group: &[Surprise], closing: &Closing<'_>) -> Option<Evidence> {
        let worst = group.iter().min_by(|a, b| self.per_day(a).total_cmp(&self.per_day(b)))?;
        let position = self.profiles.get(&worst.template)?.at(worst.at)?;
        let count = group.iter().map(|noted| noted.count).sum();
        let quoted = || group.iter().take(MAX_QUOTED).map(|noted| noted.text.as_str());
        let observed = quoted().collect::<Vec<_>>().join(", ");
        let expected = match worst.what {
            What::Together => "numbers that go together".to_owned(),
            what => position.normal(what),
        };
        let name = &*position.field.name;
        let id = (closing.resolve)(worst.template);
        let template = shortened(&(closing.text_of)(id).unwrap_or_default(), MAX_TEMPLATE);
        let plural = if quoted().count() > 1 { "s" } else { "" };
        let what = match worst.what {
            What::Value => format!("unusual value{plural} {observed} for {name}"),
            What::Network => format!(
                "address{} {observed} of a network never seen here",
                if plural.is_empty() { "" } else { "es" }
            ),
            What::High => format!("unusually large {name} {observed}"),
            What::Low => format!("unusually small {name} {observed}"),
            What::Together => format!("unusual combination {observed}"),
        };
        let normal =
            if worst.what == What::Together { String::new() } else { format!(" (normally {expected})") };
        let sentence = format!("{what} in `{template}`{normal}, seen {}", times(count));
        let texts = || group.iter().map(|noted| noted.text.clone());
        let is_user = worst.what == What::Value && USERS.iter().any(|user| user.eq_ignore_ascii_case(name));
        Some(Evidence {
            detector: NAME,
            subject: format!("{} {}.{} of template {}", subject(worst.what), worst.at.0, worst.at.1, id.0),
            template: Some(id),
            score: odds::score(self.per_day(worst)),
            observed: format!("{name} {observed}"),
            expected,
            sentence,
            lines: group.iter().take(MAX_QUOTED).map(|noted| noted.line.clone()).collect(),
            count,
            first: group.iter().map(|noted| noted.first).min()?,
            last: group.iter().map(|noted| noted.last).max()?,
            source_ips: if worst.what == What::Network { texts().collect() } else { BTreeSet::new() },
            users: if is_user { texts().collect() } else { BTreeSet::new() },
        })
    }

    fn per_day(&self, noted: &Surprise) -> f64 {
        noted
            .exponent()
            .map_or_else(|| per_day(self.odds, noted.chance), |exponent| self.odds.of_tail(exponent))
    }
}

impl Surprise {
    /// The probability's exponent, of numbers. What stands together strangely is a hint once, and more than that when it
    /// does so again and again.
    fn exponent(&self) -> Option<f64> {
        match (self.what, self.chance) {
            (What::Together, Chance::Tail(exponent)) => Some(exponent + 2.0 * (self.count as f64).log10()),
            (_, Chance::Tail(exponent)) => Some(exponent),
            (_, Chance::Novel(_)) => None,
        }
    }
}

fn per_day(odds: &Odds, chance: Chance) -> f64 {
    match chance {
        Chance::Novel(weight) => odds.of_novelty(weight),
        Chance::Tail(exponent) => odds.of_tail(exponent),
    }
}

/// Orders chances of the same kind.
fn certainty(chance: Chance) -> f64 {
    match chance {
        Chance::Novel(weight) => -weight,
        Chance::Tail(exponent) => exponent,
    }
}

fn value(sighting: &Sighting<'_>, found: &Found) -> String {
    shortened(sighting.line.envelope.message.get(found.start..found.end).unwrap_or(""), MAX_VALUE)
}

fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

fn subject(what: What) -> &'static str {
    match what {
        What::Value => "value",
        What::Network => "network",
        What::High => "large",
        What::Low => "small",
        What::Together => "together",
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
