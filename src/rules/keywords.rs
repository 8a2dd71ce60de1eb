//! Keyword search: which of many texts occur in a line, in any case.
//!
//! A line is read in blocks of four bytes. A keyword of seven bytes or more covers one whole block wherever it stands, so
//! the four blocks by which it can be met (one per alignment) are known beforehand. A block that belongs to no keyword
//! costs one look into a bitmap, and nearly all blocks are such. Keywords of five and six bytes need blocks at every second
//! byte; still shorter ones share a small automaton.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::set::Slot;

/// Candidates looked at for one line; a line made of keywords must not cost more.
const MAX_CANDIDATES: usize = 64;
/// Bytes of a block.
const BLOCK: usize = 4;
/// From this length on a keyword covers a whole block at every alignment.
const MIN_LONG: usize = 2 * BLOCK - 1;
/// From this length on it covers one of the blocks at every second byte.
const MIN_MIDDLE: usize = BLOCK + 1;
/// Words of the bitmap: 65 536 bits, 8 KiB, for a few thousand blocks.
const BITMAP: usize = 1024;

/// Rules and patterns that look closer when a keyword occurs.
pub(super) type Candidates = SmallVec<[Slot; 8]>;

/// Keywords and whose they are.
#[derive(Debug)]
pub(super) struct Keywords {
    bitmap: Box<[u64; BITMAP]>,
    /// The keywords a block (with its case folded) belongs to, and how far inside them it begins.
    blocks: FxHashMap<u32, SmallVec<[(u16, u16); 2]>>,
    words: Vec<Word>,
    /// Whether a keyword needs the blocks between the blocks.
    has_middle: bool,
    short: Option<AhoCorasick>,
    short_slots: Vec<SmallVec<[Slot; 2]>>,
}

#[derive(Debug)]
struct Word {
    text: Box<str>,
    slots: SmallVec<[Slot; 2]>,
}

impl Default for Keywords {
    fn default() -> Self {
        Keywords {
            bitmap: Box::new([0; BITMAP]),
            blocks: FxHashMap::default(),
            words: Vec::new(),
            has_middle: false,
            short: None,
            short_slots: Vec::new(),
        }
    }
}

impl Keywords {
    /// Adds to `found` the slots whose keyword occurs, each once.
    pub fn find(&self, text: &str, found: &mut Candidates) {
        self.find_from(0, text.as_bytes(), found);
        if self.has_middle {
            self.find_from(BLOCK / 2, text.as_bytes(), found);
        }
        let Some(short) = &self.short else { return };
        for occurrence in short.find_overlapping_iter(text) {
            add(found, self.short_slots.get(occurrence.pattern().as_usize()).into_iter().flatten());
        }
    }

    fn find_from(&self, start: usize, text: &[u8], found: &mut Candidates) {
        let (blocks, _) = text.get(start..).unwrap_or_default().as_chunks::<BLOCK>();
        for (number, block) in blocks.iter().enumerate() {
            let block = fold(*block);
            if self.is_known(block) {
                self.verify(text, start + number * BLOCK, block, found);
            }
        }
    }

    fn is_known(&self, block: u32) -> bool {
        let (word, bit) = place(block);
        self.bitmap.get(word).is_some_and(|bits| bits & bit != 0)
    }

    #[cold]
    fn verify(&self, text: &[u8], at: usize, block: u32, found: &mut Candidates) {
        for (number, offset) in self.blocks.get(&block).into_iter().flatten() {
            let Some(word) = self.words.get(usize::from(*number)) else { continue };
            let Some(from) = at.checked_sub(usize::from(*offset)) else { continue };
            let here = text.get(from..from + word.text.len());
            if here.is_some_and(|here| here.eq_ignore_ascii_case(word.text.as_bytes())) {
                add(found, &word.slots);
            }
        }
    }

    fn index(&mut self, number: u16, text: &[u8]) {
        let alignments = if text.len() >= MIN_LONG { BLOCK } else { BLOCK / 2 };
        let window = rarest_window(text, alignments + BLOCK - 1);
        for offset in window..window + alignments {
            let Some(block) = text.get(offset..).and_then(<[u8]>::first_chunk) else { continue };
            let block = fold(*block);
            let (word, bit) = place(block);
            if let Some(bits) = self.bitmap.get_mut(word) {
                *bits |= bit;
            }
            let offset = u16::try_from(offset).unwrap_or(u16::MAX);
            self.blocks.entry(block).or_default().push((number, offset));
        }
    }
}

fn add<'a>(found: &mut Candidates, slots: impl IntoIterator<Item = &'a Slot>) {
    for slot in slots {
        if found.len() < MAX_CANDIDATES && !found.contains(slot) {
            found.push(*slot);
        }
    }
}

/// Letters of both cases become equal; some other signs too, which `verify` tells apart.
fn fold(block: [u8; BLOCK]) -> u32 {
    u32::from_le_bytes(block) | 0x2020_2020
}

/// Word and bit of a block in the bitmap.
fn place(block: u32) -> (usize, u64) {
    let hash = block.wrapping_mul(0x9E37_79B1) >> 16;
    ((hash >> 6) as usize & (BITMAP - 1), 1 << (hash & 63))
}

/// Where the keyword is least like ordinary text: a block met by chance costs a comparison.
fn rarest_window(text: &[u8], length: usize) -> usize {
    let commonness = |byte: &u8| match byte.to_ascii_lowercase() {
        b' ' | b'e' => 5,
        b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 4,
        b'h' | b'l' | b'd' | b'c' | b'u' | b'm' | b'0'..=b'9' => 3,
        b'f' | b'p' | b'g' | b'w' | b'y' | b'b' | b'v' | b'k' | b'.' | b':' | b'/' | b'=' => 2,
        _ => 1_u32,
    };
    let windows = text.windows(length).map(|window| window.iter().map(commonness).sum::<u32>());
    windows.enumerate().min_by_key(|(_, sum)| *sum).map_or(0, |(at, _)| at)
}

/// Collects keywords, equal ones joined.
#[derive(Default)]
pub(super) struct Collector {
    words: Vec<Word>,
    numbers: FxHashMap<String, usize>,
}

impl Collector {
    /// Adds the words by which a slot becomes a candidate.
    pub fn add(&mut self, words: &[String], slot: Slot) {
        for word in words {
            let word = word.to_ascii_lowercase();
            match self.numbers.get(&word).and_then(|at| self.words.get_mut(*at)) {
                Some(known) => known.slots.push(slot),
                None => {
                    self.words.push(Word { text: word.as_str().into(), slots: smallvec![slot] });
                    self.numbers.insert(word, self.words.len() - 1);
                }
            }
        }
    }

    /// Makes the search. The error says why the keywords make none.
    pub fn build(self) -> Result<Keywords, String> {
        let (long, short): (Vec<_>, Vec<_>) =
            self.words.into_iter().partition(|word| word.text.len() >= MIN_MIDDLE);
        let mut keywords = Keywords::default();
        for (number, word) in long.iter().enumerate() {
            let number = u16::try_from(number).map_err(|_| format!("{} keywords", long.len()))?;
            keywords.index(number, word.text.as_bytes());
        }
        keywords.has_middle = long.iter().any(|word| word.text.len() < MIN_LONG);
        keywords.words = long;
        if !short.is_empty() {
            let automaton = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::DFA))
                .build(short.iter().map(|word| word.text.as_bytes()));
            keywords.short = Some(automaton.map_err(|error| error.to_string())?);
            keywords.short_slots = short.into_iter().map(|word| word.slots).collect();
        }
        Ok(keywords)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(words: &[&str], text: &str) -> Vec<u16> {
        let mut collector = Collector::default();
        for (number, word) in words.iter().enumerate() {
            let slot = Slot { rule: u16::try_from(number).unwrap(), pattern: 0 };
            collector.add(&[(*word).to_owned()], slot);
        }
        let mut found = Candidates::new();
        collector.build().unwrap().find(text, &mut found);
        found.sort_unstable();
        found.iter().map(|slot| slot.rule).collect()
    }

    #[test]
    fn keywords_of_any_length_are_found_at_every_place_and_in_any_case() {
        let words = ["--", "Failed ", "failed password", "nothing here", "SSwor", "d pass"];
        for blanks in 0..9 {
            let text = format!("{}FAILED PASSword --", " ".repeat(blanks));
            assert_eq!(search(&words, &text), [0, 1, 2, 4, 5], "{blanks}");
        }
        assert_eq!(search(&words, "faile"), [0_u16; 0]);
    }

    #[test]
    fn signs_that_fold_alike_are_told_apart() {
        assert_eq!(search(&["[alert] x"], "{alert} x"), [0_u16; 0]);
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_plain_search_finds(
            words in proptest::collection::vec("[abAB ]{2,9}", 1..6), text in "[abAB ]{0,60}",
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let plain = |word: &str| text.to_lowercase().contains(&word.to_lowercase());
            let expected: Vec<u16> =
                (0_u16..).zip(&words).filter(|(_, word)| plain(word)).map(|(number, _)| number).collect();
            prop_assert_eq!(search(&words, &text), expected);
        }
    }
}
