//! A mined template: the skeleton that its messages share, and what is known of them.

use super::skeleton::{Part, SLOT, Skeleton, WILD};
use crate::model::{TemplateId, Timestamp};

/// A template as others see it.
#[derive(Clone, Debug)]
pub struct Template {
    /// Identity, unique in the database.
    pub id: TemplateId,
    /// Its text with `<*>` and typed placeholders.
    pub text: String,
    /// A message that matches it, cut to [`super::SAMPLE_MAX`] bytes.
    pub sample: String,
    /// Messages so far.
    pub count: u64,
    /// The first message's time.
    pub first_seen: Timestamp,
    /// The last message's time.
    pub last_seen: Timestamp,
    pub(super) skeleton: Skeleton,
    /// Whether any of its words varies; asked for every message.
    pub(super) has_wild: bool,
    /// When it was last used, in messages; decides who is evicted.
    pub(super) stamp: u64,
    pub(super) is_dirty: bool,
}

/// How a message differs from a template of the same glue and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// The words that differ, one bit each.
    pub(super) mask: u128,
    /// Differing words in capitals.
    pub(super) firm: u32,
    /// Differing words of ordinary text.
    pub(super) strong: u32,
    /// Differing words that look like names or values.
    pub(super) weak: u32,
    /// Equal words.
    pub(super) equal: u32,
    /// Equal words and slots that the template asks for.
    pub(super) asked: u32,
}

impl Template {
    /// Compares; `None` if they can never be one (a word that must not vary differs, or there is nothing in common).
    pub(super) fn compare(&self, other: &Skeleton) -> Option<Difference> {
        use super::scan::Role;
        if self.skeleton.glue != other.glue || self.skeleton.pieces.len() != other.pieces.len() {
            return None;
        }
        let mut found = Difference::default();
        for (bit, (mine, theirs)) in self.skeleton.pieces.iter().zip(&other.pieces).enumerate() {
            if mine.hash == WILD {
                continue;
            }
            if mine.hash == theirs.hash {
                found.equal += u32::from(mine.hash != SLOT);
                found.asked += 1;
                continue;
            }
            found.mask |= 1 << bit.min(127);
            match (mine.part, theirs.part) {
                (Part::Word(Role::Fixed), _) | (_, Part::Word(Role::Fixed)) => return None,
                (Part::Word(Role::Upper), _) | (_, Part::Word(Role::Upper)) => found.firm += 1,
                (Part::Word(Role::Plain), Part::Word(Role::Plain | Role::Weak))
                | (Part::Word(Role::Weak), Part::Word(Role::Plain)) => found.strong += 1,
                _ => found.weak += 1,
            }
        }
        Some(found)
    }

    /// Lets the words of `mask` vary.
    pub(super) fn widen(&mut self, mask: u128) {
        for (bit, piece) in self.skeleton.pieces.iter_mut().enumerate() {
            if mask & (1 << bit.min(127)) != 0 {
                piece.part = Part::Wild;
                piece.hash = WILD;
                self.has_wild = true;
            }
        }
    }

    /// Whether every message of `other` is a message of this one.
    pub(super) fn covers(&self, other: &Template) -> bool {
        self.skeleton.glue == other.skeleton.glue
            && self.skeleton.pieces.len() == other.skeleton.pieces.len()
            && self
                .skeleton
                .pieces
                .iter()
                .zip(&other.skeleton.pieces)
                .all(|(a, b)| a.hash == WILD || a.hash == b.hash)
    }

    /// Memory it takes, for the byte budget.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Template>()
            + self.text.len()
            + self.sample.len()
            + self.skeleton.text.len()
            + self.skeleton.pieces.len() * size_of::<super::skeleton::Piece>()
    }
}
