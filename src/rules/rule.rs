//! A compiled rule.

use super::{
    expression::Expression,
    field::{Field, Fields},
    pattern::Pattern,
    request::{Decoded, Part, Request},
};
use crate::model::{Category, Selector, Severity};

/// A rule in force.
#[derive(Debug)]
pub struct Rule {
    /// Its id; unique.
    pub id: String,
    /// Hash of the id: names the rule in snapshots.
    pub key: u64,
    /// Template of the title.
    pub title: String,
    /// Category of its findings.
    pub category: Category,
    /// Severity of its findings, unless a threshold or escalation says otherwise.
    pub severity: Severity,
    /// Whether a new finding is written at once.
    pub urgent: bool,
    /// The field its findings are kept apart by.
    pub by: Option<Field>,
    /// Whether several lines of one attempt count once.
    pub fold: bool,
    /// How many sightings make a finding; at least one threshold.
    pub thresholds: Vec<Threshold>,
    /// Holds only after sightings of another rule.
    pub after: Option<After>,
    /// When it is worse.
    pub escalate: Vec<Escalation>,
    /// Findings of one story and key become one.
    pub story: String,
    /// The story that is over when this is seen; such a rule makes no findings.
    pub resolves: Option<String>,
    /// Stories its findings may be symptoms of.
    pub symptom_of: Vec<String>,
    /// The service named in findings.
    pub service: Option<String>,
    /// What it means.
    pub summary: String,
    /// What to do.
    pub recommendation: String,
    pub(super) selector: Selector,
    pub(super) programs: Programs,
    pub(super) patterns: Vec<Pattern>,
    pub(super) requests: Vec<RequestPattern>,
    pub(super) exclude: Vec<Pattern>,
    /// Lines it must match.
    pub matches: Vec<String>,
    /// Lines it must not match.
    pub ignores: Vec<String>,
}

/// So many events, or distinct values, within a time per key.
#[derive(Debug, Clone)]
pub struct Threshold {
    /// How many.
    pub count: u32,
    /// Within so many seconds of event time.
    pub within_secs: i64,
    /// Per value of this field; per host without it.
    pub by: Option<Field>,
    /// Counts distinct values of this field instead of events.
    pub distinct: Option<Field>,
    /// Severity when reached.
    pub severity: Severity,
    /// Title when reached.
    pub title: Option<String>,
}

/// The link of a success to the failures before it.
#[derive(Debug, Clone)]
pub struct After {
    /// Key of the rule that counts the failures.
    pub rule: u64,
    /// At least so many of them.
    pub count: u32,
    /// Within so many seconds before.
    pub within_secs: i64,
    /// With the same value of this field.
    pub same: Field,
}

/// When a finding is worse than its rule says.
#[derive(Debug)]
pub struct Escalation {
    pub(super) field: Option<(Field, Expression)>,
    /// From so many events on.
    pub count: Option<u64>,
    /// Then this bad.
    pub severity: Severity,
}

impl Escalation {
    /// Whether a sighting's fields ask for it (an escalation by count alone never does).
    pub fn fits(&self, fields: &Fields) -> bool {
        match &self.field {
            Some((field, regex)) => fields.get(*field).is_some_and(|value| regex.is_match(value)),
            None => false,
        }
    }
}

/// The programs a rule speaks of.
#[derive(Debug, Default)]
pub(super) struct Programs {
    pub wanted: Vec<String>,
    pub refused: Vec<String>,
}

impl Programs {
    /// Reads `name`, `name*` and `!name`.
    pub(super) fn parse(names: &[String]) -> Self {
        let mut programs = Programs::default();
        for name in names {
            match name.strip_prefix('!') {
                Some(refused) => programs.refused.push(refused.to_owned()),
                None => programs.wanted.push(name.clone()),
            }
        }
        programs
    }

    /// A program the rule speaks of, under which its examples are read.
    pub(super) fn example(&self) -> Option<&str> {
        self.wanted.first().map(|name| name.trim_end_matches('*'))
    }

    /// Whether a line of this program is meant. A line that names no program may be anybody's.
    pub(super) fn include(&self, program: Option<&str>) -> bool {
        let Some(program) = program else { return true };
        let program = program.rsplit_once('/').map_or(program, |(path, name)| {
            // `postfix/smtpd` names a part of a suite, `/usr/sbin/cron` a file.
            if path.starts_with('/') || path.is_empty() { name } else { program }
        });
        let fits = |known: &String| match known.strip_suffix('*') {
            Some(start) => program.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
            None => known.eq_ignore_ascii_case(program),
        };
        !self.refused.iter().any(fits) && (self.wanted.is_empty() || self.wanted.iter().any(fits))
    }
}

impl Rule {
    /// Whether an exclusion takes the message out.
    pub(super) fn excludes(&self, message: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.is_match(message))
    }
}

/// What a web request must be like.
#[derive(Debug)]
pub(super) struct RequestPattern {
    pub parts: Vec<Part>,
    pub text: Vec<String>,
    pub regex: Option<Expression>,
    pub methods: Vec<String>,
    /// First digit and whole code: `5xx` is (5, None).
    pub status: Vec<(u16, Option<u16>)>,
}

impl RequestPattern {
    /// Status and method are looked at first: they cost nothing.
    pub(super) fn may_match(&self, request: &Request<'_>) -> bool {
        let status = request.status;
        (self.status.is_empty()
            || self
                .status
                .iter()
                .any(|(class, code)| code.map_or(status / 100 == *class, |code| code == status)))
            && (self.methods.is_empty() || self.methods.iter().any(|method| *method == request.method))
    }

    /// Whether the decoded parts hold the text and fit the expression.
    pub(super) fn matches(&self, decoded: &Decoded) -> bool {
        const ALL: [Part; 4] = [Part::Path, Part::Query, Part::Referrer, Part::Agent];
        let parts = if self.parts.is_empty() { &ALL } else { self.parts.as_slice() };
        (self.text.is_empty() && self.regex.is_none())
            || parts.iter().map(|part| decoded.part(*part)).any(|part| {
                (self.text.is_empty() || self.text.iter().any(|text| part.contains(text.as_str())))
                    && self.regex.as_ref().is_none_or(|regex| regex.is_match(part))
            })
    }
}
