//! Sifting: rules over lines, counted per source and target, folded into drafts of findings.
//!
//! `Sifter` is the rule set, shared and immutable. `GroupSift` is what one group (tenant and host) remembers: sliding
//! counts, recent failures, evidence. Its drafts are a pure function of its state; nothing here reads a clock.

mod attempt;
mod draft;
mod group;
mod join;
mod recovery;
mod story;
mod title;
mod track;

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;
use smallvec::SmallVec;

pub use group::GroupSift;

use crate::{
    model::{Labels, Severity},
    rules::{RuleSet, Scope},
};

/// The rules in force. Immutable and shared by all groups.
pub struct Sifter {
    rules: RuleSet,
}

/// The rules that apply to one stream. Made once per stream and kept by the caller.
#[derive(Clone, Debug)]
pub struct StreamRules {
    scope: Scope,
    /// Names the stream within its group.
    stream: u64,
}

/// What the rules say of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether any rule matched.
    pub hit: bool,
    /// The worst severity the line stands for now; `Info` while a threshold is not reached.
    pub severity: Option<Severity>,
    /// The worst severity of what the line may be part of, thresholds reached or not.
    pub standing: Option<Severity>,
    /// The address that a rule read as the source.
    pub source: Option<Box<str>>,
    /// Whether an urgent rule's finding appeared with this line and the window should be written at once.
    pub urgent: bool,
    /// The rules that matched, for `Sifter::rule_id`.
    pub rules: SmallVec<[u16; 4]>,
    /// The address a rule read from the line.
    pub source_ip: Option<String>,
}

impl Sifter {
    /// Takes a compiled rule set.
    pub fn new(rules: RuleSet) -> Self {
        Sifter { rules }
    }

    /// The rules that apply to a stream.
    pub fn stream_rules(&self, labels: &Labels) -> StreamRules {
        let mut hasher = FxHasher::default();
        labels.hash(&mut hasher);
        StreamRules { scope: self.rules.scope(labels), stream: hasher.finish() }
    }

    /// The id of a rule of a verdict.
    pub fn rule_id(&self, rule: u16) -> Option<&str> {
        self.rules.rule(rule).map(|rule| rule.id.as_str())
    }

    fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

#[cfg(test)]
mod tests;
