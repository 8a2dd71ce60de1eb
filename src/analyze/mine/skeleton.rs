//! The shape of a message as templates keep it: its words with what stands between them, values replaced.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::{
    class::{self, Kind, SPACE},
    scan::{Role, Scratch},
};

/// What a word of a template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The word as it stands.
    Word(Role),
    /// Any word or value: it turned out to vary.
    Wild,
}

/// A word of a skeleton: where it stands in the skeleton's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) part: Part,
    /// Equal for equal words; `SLOT` and `WILD` for what varies. Seeded, so never stored.
    pub(super) hash: u64,
}

/// The hash of every slot.
pub(super) const SLOT: u64 = 1;
/// The hash of every wild word.
pub(super) const WILD: u64 = 0;

/// A message without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skeleton {
    /// Blanks folded, slots written as their placeholders.
    pub(super) text: String,
    pub(super) pieces: Vec<Piece>,
    /// Hash over what stands between the words; skeletons that differ in it never meet.
    pub(super) glue: u64,
}

/// Stands for values of more than one shape.
const ANY: &str = "<*>";
/// Stands at the end of a template whose messages went on after the limits.
const CUT_MARK: &str = " …";

impl Skeleton {
    /// Builds the skeleton of the message last scanned into `scratch`.
    pub(super) fn new(message: &str, from: usize, scratch: &Scratch, seed: u64) -> Self {
        let mut text = String::with_capacity(message.len().saturating_sub(from).min(512));
        let mut pieces = Vec::with_capacity(scratch.words.len());
        let mut at = from;
        for word in &scratch.words {
            fold(message.get(at..word.start as usize).unwrap_or(""), &mut text);
            let start = text.len();
            if word.role == Role::Slot {
                let shape = scratch.key.get(word.shape.0 as usize..word.shape.1 as usize);
                describe(shape.unwrap_or_default(), &mut text);
            } else {
                text.push_str(message.get(word.start as usize..word.end as usize).unwrap_or(""));
            }
            at = word.end as usize;
            let (start, end) = (clamp(start), clamp(text.len()));
            pieces.push(Piece { start, end, part: Part::Word(word.role), hash: 0 });
        }
        if scratch.is_cut {
            text.push_str(CUT_MARK);
        } else {
            fold(message.get(at..).unwrap_or("").trim_end(), &mut text);
        }
        let mut skeleton = Skeleton { text, pieces, glue: 0 };
        skeleton.rehash(seed);
        skeleton
    }

    /// Computes the hashes anew; needed after reading a stored skeleton, whose seed is gone.
    pub(super) fn rehash(&mut self, seed: u64) {
        let mut glue = Xxh3::with_seed(seed);
        let mut at = 0;
        for piece in &mut self.pieces {
            let (start, end) = (piece.start as usize, piece.end as usize);
            glue.update(self.text.get(at..start).unwrap_or("").as_bytes());
            glue.update(&[0]);
            at = end;
            piece.hash = match piece.part {
                Part::Wild => WILD,
                Part::Word(Role::Slot) => SLOT,
                Part::Word(_) => {
                    let word = self.text.get(start..end).unwrap_or("").as_bytes();
                    xxh3_64_with_seed(word, seed).max(SLOT + 1)
                }
            };
        }
        glue.update(self.text.get(at..).unwrap_or("").as_bytes());
        self.glue = glue.digest();
    }

    /// This skeleton with `<*>` in the slots that look different in `other`; `None` if none does.
    pub(super) fn with_shapes_of(&self, other: &Skeleton) -> Option<Skeleton> {
        let differs = |(mine, theirs): (&Piece, &Piece)| {
            mine.hash == SLOT
                && theirs.hash == SLOT
                && self.word(mine) != ANY
                && self.word(mine) != other.word(theirs)
        };
        if !self.pieces.iter().zip(&other.pieces).any(differs) {
            return None;
        }
        let mut text = String::with_capacity(self.text.len());
        let mut pieces = Vec::with_capacity(self.pieces.len());
        let mut at = 0;
        for pair in self.pieces.iter().zip(&other.pieces) {
            let piece = *pair.0;
            text.push_str(self.text.get(at..piece.start as usize).unwrap_or(""));
            let start = clamp(text.len());
            text.push_str(if differs(pair) { ANY } else { self.word(&piece) });
            pieces.push(Piece { start, end: clamp(text.len()), ..piece });
            at = piece.end as usize;
        }
        text.push_str(self.text.get(at..).unwrap_or(""));
        Some(Skeleton { text, pieces, glue: self.glue })
    }

    /// Whether any word varies.
    pub(super) fn has_wild(&self) -> bool {
        self.pieces.iter().any(|piece| piece.part == Part::Wild)
    }

    /// A word's text.
    pub(super) fn word(&self, piece: &Piece) -> &str {
        self.text.get(piece.start as usize..piece.end as usize).unwrap_or("")
    }

    /// The text with placeholders, for people.
    pub(super) fn render(&self) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut at = 0;
        for piece in &self.pieces {
            out.push_str(self.text.get(at..piece.start as usize).unwrap_or(""));
            out.push_str(if piece.part == Part::Wild { ANY } else { self.word(piece) });
            at = piece.end as usize;
        }
        out.push_str(self.text.get(at..).unwrap_or(""));
        out
    }
}

/// Appends `text` with every run of blanks and control characters as one blank.
fn fold(text: &str, out: &mut String) {
    let mut is_blank = false;
    for symbol in text.chars() {
        let is_space = u8::try_from(symbol).is_ok_and(|b| b < 128 && class::of(b) & SPACE != 0);
        if !is_space {
            out.push(symbol);
        } else if !is_blank {
            out.push(' ');
        }
        is_blank = is_space;
    }
}

/// Writes a slot's shape (kind codes and the signs between) with placeholders.
fn describe(shape: &[u8], out: &mut String) {
    for byte in shape {
        match Kind::from_code(*byte) {
            Some(kind) => out.push_str(kind.placeholder()),
            None => out.push(char::from(*byte)),
        }
    }
}

fn clamp(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
