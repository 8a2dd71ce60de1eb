//! Sifting: rules over lines, counted per source and target, folded into drafts of findings.
//!
//! `Sifter` is the rule set, shared and immutable. `GroupSift` is what one group (tenant and host) remembers: sliding
//! counts, recent failures, evidence. Its drafts are a pure function of its state; nothing here reads a clock.

mod group;

use smallvec::SmallVec;

pub use group::GroupSift;

use crate::{
    model::{Labels, Severity},
    rules::RuleSet,
};

/// The rules in force. Immutable and shared by all groups.
pub struct Sifter {
    rules: RuleSet,
}

/// The rules that apply to one stream. Made once per stream and kept by the caller.
#[derive(Clone, Debug)]
pub struct StreamRules {}

/// What the rules say of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether any rule matched.
    pub hit: bool,
    /// The worst severity the line stands for now; `Info` while a threshold is not reached.
    pub severity: Option<Severity>,
    /// Whether an urgent rule's finding appeared with this line and the window should be written at once.
    pub urgent: bool,
    /// The rules that matched, for `Sifter::rule_id`.
    pub rules: SmallVec<[u16; 4]>,
}

impl Sifter {
    /// Takes a compiled rule set.
    pub fn new(rules: RuleSet) -> Self {
        Sifter { rules }
    }

    /// The rules that apply to a stream.
    pub fn stream_rules(&self, _labels: &Labels) -> StreamRules {
        let _ = &self.rules;
        StreamRules {}
    }

    /// The id of a rule of a verdict.
    pub fn rule_id(&self, _rule: u16) -> Option<&str> {
        None
    }
}
