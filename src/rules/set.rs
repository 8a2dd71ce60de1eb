//! A rule set: one automaton over a line finds the rules worth a closer look.

use smallvec::SmallVec;

use super::{
    field::{Field, Fields},
    keywords::{Candidates, Keywords},
    pattern::Pattern,
    request::{self, Decoded, Request},
    rule::{RequestPattern, Rule},
};
use crate::model::{Labels, Selector};

/// Every rule in force, compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) noise: Vec<Noise>,
    /// Keywords of patterns over messages.
    pub(super) messages: Keywords,
    /// Keywords of patterns over decoded requests.
    pub(super) requests: Keywords,
    /// Request patterns without keywords: those that ask for a status or method only.
    pub(super) any_request: Vec<Slot>,
}

/// A rule and one of its patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub rule: u16,
    pub pattern: u16,
}

/// Lines known to be harmless.
#[derive(Debug)]
pub(super) struct Noise {
    pub selector: Selector,
    pub patterns: Vec<Pattern>,
}

/// What applies to one stream.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Rules whose selector refuses the stream.
    refused: Vec<u16>,
    noise: Vec<u16>,
    program: Option<String>,
}

/// A rule that matches a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The rule's number in the set.
    pub rule: u16,
    /// Which of its patterns.
    pub pattern: u16,
    /// What the line says.
    pub fields: Fields,
}

/// The hits of one line; one per rule.
pub type Hits = SmallVec<[Hit; 2]>;

impl RuleSet {
    /// The rules in the order of their numbers.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of a number.
    pub fn rule(&self, number: u16) -> Option<&Rule> {
        self.rules.get(usize::from(number))
    }

    /// What applies to a stream.
    pub fn scope(&self, labels: &Labels) -> Scope {
        let number = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let refused = self.rules.iter().enumerate().filter(|(_, rule)| !rule.selector.matches(labels));
        let noise = self.noise.iter().enumerate().filter(|(_, noise)| noise.selector.matches(labels));
        Scope {
            refused: refused.map(|(at, _)| number(at)).collect(),
            noise: noise.map(|(at, _)| number(at)).collect(),
            program: ["syslog_identifier", "program"]
                .iter()
                .find_map(|name| labels.get(name))
                .map(str::to_owned),
        }
    }

    /// The rules a message matches, with what it says.
    pub fn scan(&self, scope: &Scope, program: Option<&str>, message: &str) -> Hits {
        let program = program.or(scope.program.as_deref());
        let hits = match request::parse(message) {
            Some(request) => self.scan_request(scope, program, &request),
            None => self.scan_message(scope, program, message),
        };
        if hits.is_empty() || self.is_noise(scope, message) { Hits::new() } else { hits }
    }

    fn scan_message(&self, scope: &Scope, program: Option<&str>, message: &str) -> Hits {
        let mut hits = Hits::new();
        let mut candidates = Candidates::new();
        self.messages.find(message, &mut candidates);
        candidates.sort_unstable();
        for slot in candidates {
            let Some(rule) = self.open_rule(scope, program, slot, &hits) else { continue };
            let fields =
                rule.patterns.get(usize::from(slot.pattern)).and_then(|pattern| pattern.find(message));
            if let Some(fields) = fields.filter(|_| !rule.excludes(message)) {
                hits.push(Hit { rule: slot.rule, pattern: slot.pattern, fields });
            }
        }
        hits
    }

    fn scan_request(&self, scope: &Scope, program: Option<&str>, request: &Request<'_>) -> Hits {
        let mut hits = Hits::new();
        let mut candidates = Candidates::new();
        let mut decoded = request.is_encoded().then(|| Decoded::new(request));
        match &decoded {
            Some(decoded) => self.requests.find(decoded.text(), &mut candidates),
            None => request.texts().into_iter().for_each(|text| self.requests.find(text, &mut candidates)),
        }
        candidates.sort_unstable();
        for slot in candidates.into_iter().chain(self.any_request.iter().copied()) {
            let Some(pattern) = self.request_pattern(slot).filter(|it| it.may_match(request)) else {
                continue;
            };
            let Some(rule) = self.open_rule(scope, program, slot, &hits) else { continue };
            let decoded = decoded.get_or_insert_with(|| Decoded::new(request));
            if pattern.matches(decoded) && !rule.excludes(decoded.text()) {
                let fields = request_fields(request, decoded);
                hits.push(Hit { rule: slot.rule, pattern: slot.pattern, fields });
            }
        }
        hits
    }

    fn request_pattern(&self, slot: Slot) -> Option<&RequestPattern> {
        self.rule(slot.rule)?.requests.get(usize::from(slot.pattern))
    }

    /// The slot's rule, unless it matched already or does not speak of this stream or program.
    fn open_rule(&self, scope: &Scope, program: Option<&str>, slot: Slot, hits: &Hits) -> Option<&Rule> {
        if hits.iter().any(|hit| hit.rule == slot.rule) || scope.refused.contains(&slot.rule) {
            return None;
        }
        self.rule(slot.rule).filter(|rule| rule.programs.include(program))
    }

    fn is_noise(&self, scope: &Scope, message: &str) -> bool {
        let known = scope.noise.iter().filter_map(|at| self.noise.get(usize::from(*at)));
        known.flat_map(|noise| &noise.patterns).any(|pattern| pattern.is_match(message))
    }
}

fn request_fields(request: &Request<'_>, decoded: &Decoded) -> Fields {
    let mut fields = Fields::default();
    if let Some(ip) = request.ip() {
        fields.add(Field::Ip, &ip);
    }
    fields.add(Field::Path, decoded.part(request::Part::Path));
    // Distinct query strings tell a probe from a repeated click.
    fields.add(Field::Name, &request.target);
    fields.add(Field::Status, &request.status.to_string());
    fields.add(Field::Method, &request.method);
    fields.add(Field::Agent, &request.agent);
    fields
}
