//! Puts a doubt into words: what was seen, what is normal, and both as a sentence.

use super::{
    Templates, Words,
    knowledge::{Knowledge, Reason},
    session::Ended,
    shape::Shape,
};
use crate::model::TemplateId;

/// A template or key in a sentence is cut to this many characters.
const MAX_CHARS: usize = 96;

/// The words for a session: `(name of the kind of key, what is normal, texts)`.
pub(super) fn of(
    session: &Ended,
    shape: &Shape,
    reason: Reason,
    (kind, known, templates): (&str, &Knowledge, &dyn Templates),
) -> Words {
    let writer = Writer { known, templates };
    let (observed, expected) = writer.reason(reason, shape);
    let lines = counted(session.lines.into(), "line");
    let key = short(&session.key);
    let normal = writer.normal();
    Words {
        sentence: format!("session {key} ({kind}) {observed} after {lines}; normally {expected} ({normal})"),
        observed: format!("{observed} after {lines}"),
        expected: format!("{expected} ({normal})"),
    }
}

/// The template a reason is about.
pub(super) fn about(reason: Reason) -> Option<TemplateId> {
    match reason {
        Reason::Rare(template)
        | Reason::NotUsual { template, .. }
        | Reason::Extreme { template, .. }
        | Reason::Missing { missing: template, .. }
        | Reason::Unequal { other: template, .. }
        | Reason::Early { early: template, .. } => Some(template),
        Reason::Follows { from, to } => to.or(from),
    }
}

/// A reason in one word.
pub(super) fn way(reason: Reason) -> &'static str {
    match reason {
        Reason::Rare(_) => "rare",
        Reason::Missing { .. } => "missing",
        Reason::NotUsual { .. } | Reason::Extreme { .. } => "count",
        Reason::Unequal { .. } => "unequal",
        Reason::Early { .. } => "order",
        Reason::Follows { .. } => "step",
    }
}

struct Writer<'a> {
    known: &'a Knowledge,
    templates: &'a dyn Templates,
}

impl Writer<'_> {
    /// What was seen, ready for "session … <seen> after 3 lines", and what is normal.
    fn reason(&self, reason: Reason, shape: &Shape) -> (String, String) {
        match reason {
            Reason::Rare(template) => {
                let text = self.text(template);
                (format!("ended with unusual {text}"), self.presence(template))
            }
            Reason::Missing { with, missing } => {
                let seen = format!("ended without {}", self.text(missing));
                (seen, format!("it comes with {}", self.text(with)))
            }
            Reason::NotUsual { template, count, usual } => {
                let seen = format!("ended with {} of {}", counted(count.into(), "line"), self.text(template));
                (seen, format!("there {}", are(usual.into())))
            }
            Reason::Extreme { template, count, range: (from, to) } => {
                let seen = format!("ended with {} of {}", counted(count.into(), "line"), self.text(template));
                (seen, format!("there are {}", span(from.into(), to.into())))
            }
            Reason::Unequal { one, other, counts: (first, second) } => {
                let (one, other) = (self.text(one), self.text(other));
                let seen = format!("ended with {first} of {one} and {second} of {other}");
                (seen, "both come equally often".to_owned())
            }
            Reason::Early { early, late } => {
                let seen = format!("ended with {} before {}", self.text(early), self.text(late));
                (seen, "they come the other way round".to_owned())
            }
            Reason::Follows { from, to } => self.follows(from, to, shape),
        }
    }

    fn follows(&self, from: Option<TemplateId>, to: Option<TemplateId>, shape: &Shape) -> (String, String) {
        match (from, to) {
            (Some(from), Some(to)) => {
                let seen = format!("ended with {} right after {}", self.text(to), self.text(from));
                (seen, "these do not follow each other".to_owned())
            }
            (None, Some(to)) => {
                (format!("began with {} and ended", self.text(to)), "sessions begin otherwise".to_owned())
            }
            (_, None) => {
                let end = shape.end().map_or_else(String::new, |end| self.text(end));
                (format!("ended at {end}"), "sessions go on from there".to_owned())
            }
        }
    }

    fn presence(&self, template: TemplateId) -> String {
        let sessions = counted(self.known.total, "session");
        match self.known.knows(template) {
            true => format!("fewer than {:.1} % of {sessions} have it", self.percent(template)),
            false => format!("none of {sessions} had it"),
        }
    }

    /// Rounded up to a tenth of a percent, so that "fewer than" is true.
    fn percent(&self, template: TemplateId) -> f64 {
        ((self.known.presence(template) * 1_000.0).floor() + 1.0) / 10.0
    }

    fn normal(&self) -> String {
        let (from, to) = self.known.lines;
        let lines = match from == to {
            true => counted(from, "line"),
            false => format!("{} lines", span(from, to)),
        };
        match self.known.end {
            Some(end) => format!("{lines}, mostly ending with {}", self.text(end)),
            None => lines,
        }
    }

    fn text(&self, template: TemplateId) -> String {
        let text = self.templates.text(template);
        let text = text.unwrap_or_else(|| format!("template {}", template.0));
        format!("`{}`", short(&text))
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn are(count: u64) -> String {
    if count == 1 { "is 1".to_owned() } else { format!("are {count}") }
}

fn span(from: u64, to: u64) -> String {
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}
