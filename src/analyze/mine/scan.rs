//! One pass over a message: words, slots for what varies, and the key under which equal shapes meet.
//!
//! In goes a message, out come its words (byte ranges), its values (the variable parts, typed) and a key in which
//! every variable part is replaced by its type. Nothing is allocated once the scratch has grown to the limits.

use super::{
    class::{self, Kind, SPACE, WORD},
    colons, context,
    judge::{self, Class},
    quote,
};

/// What a word is to the miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Ordinary text.
    Plain,
    /// Text that looks like a name and varies easily.
    Weak,
    /// All capitals: the name of a state or constant; varies only if very many are seen.
    Upper,
    /// A level or outcome word: it tells events apart and never becomes a placeholder.
    Fixed,
    /// One or more variable parts next to each other.
    Slot,
}

/// A word or slot of the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) role: Role,
    /// For a slot: where its shape stands in the key.
    pub(super) shape: (u32, u32),
}

/// A variable part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Which word of the template it fills; stays the same while the template widens.
    pub slot: u16,
    /// What it looks like.
    pub kind: Kind,
    start: u32,
    end: u32,
}

impl Value {
    pub(super) fn new(slot: usize, kind: Kind, start: usize, end: usize) -> Self {
        Value { slot: u16::try_from(slot).unwrap_or(u16::MAX), kind, start: clamp(start), end: clamp(end) }
    }

    /// The value's text within the message it was observed in.
    pub fn text<'m>(&self, message: &'m str) -> &'m str {
        message.get(self.range()).unwrap_or("")
    }

    /// Where it stands within the message it was observed in.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where its text begins in the message it was observed in, in bytes.
    pub fn start(&self) -> usize {
        self.start as usize
    }

    /// Where its text ends.
    pub fn end(&self) -> usize {
        self.end as usize
    }
}

/// Reusable buffers; grows to the limits once.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) words: Vec<Word>,
    pub(super) values: Vec<Value>,
    /// The message with every slot replaced by a marker and its shape, blanks folded.
    pub(super) key: Vec<u8>,
    /// Whether the message went on after the limits.
    pub(super) is_cut: bool,
}

/// Opens a slot in the key; control bytes of messages are folded into blanks, so it cannot be forged.
pub(super) const SLOT_MARK: u8 = 0x01;
/// Ends the key of a message that went on after the limits.
const CUT_MARK: u8 = 0x1F;
/// Parts of a slot that are told apart in its shape; longer runs look alike.
const SHAPE_PARTS: u32 = 4;

/// Splits `message[from..]` into `scratch`, at most `max_words` words.
pub(super) fn scan(message: &str, from: usize, max_words: usize, scratch: &mut Scratch) {
    scratch.words.clear();
    scratch.values.clear();
    scratch.key.clear();
    scratch.is_cut = false;
    let mut scanner = Scanner {
        text: message.as_bytes(),
        at: from,
        copied: from,
        max_words,
        parts: 0,
        open_until: 0,
        out: scratch,
    };
    scanner.run();
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Up to here the text is in the key.
    copied: usize,
    max_words: usize,
    /// Parts of the slot that is open.
    parts: u32,
    /// The closing sign of quoted text that is being read word by word.
    open_until: usize,
    out: &'a mut Scratch,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            if self.out.words.len() >= self.max_words {
                self.out.is_cut = true;
                self.copy_to(self.at);
                self.out.key.push(CUT_MARK);
                return;
            }
            let class = class::of(byte);
            if class & WORD != 0 {
                self.word();
            } else if byte == b' ' && !self.is_blank(self.at + 1) {
                self.at += 1;
            } else if class & SPACE != 0 {
                self.blanks();
            } else {
                self.symbol(byte);
            }
        }
        self.copy_to(self.at);
    }

    fn copy_to(&mut self, end: usize) {
        self.out.key.extend_from_slice(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn is_blank(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(|byte| class::of(*byte) & SPACE != 0)
    }

    /// Folds a run of blanks and control bytes into one blank.
    fn blanks(&mut self) {
        let start = self.at;
        while self.is_blank(self.at) {
            self.at += 1;
        }
        if self.at - start > 1 || self.text.get(start) != Some(&b' ') {
            self.copy_to(start);
            self.out.key.push(b' ');
            self.copied = self.at;
        }
    }

    fn symbol(&mut self, byte: u8) {
        if byte == b':'
            && let Some(address) = colons::leading_colons(self.text, self.at)
        {
            let start = std::mem::replace(&mut self.at, address.end);
            self.slot(address.kind, start, address.end);
            return;
        }
        if matches!(byte, b'<' | b'>')
            && let Some(end) = context::compared(self.text, self.at)
        {
            let start = std::mem::replace(&mut self.at, end);
            self.slot(Kind::Quantity, start, end);
            return;
        }
        let quoted = match byte {
            b'"' | b'\'' if self.open_until != 0 && self.at == self.open_until => None,
            b'"' => quote::double(self.text, self.at),
            b'\'' => quote::single(self.text, self.at),
            _ => None,
        };
        match quoted {
            Some(quoted) => self.quoted(quoted),
            None => self.at += 1,
        }
        if byte == b'=' && self.is_empty_value() || byte == b'(' && self.is_empty_bracket() {
            self.slot(Kind::Empty, self.at, self.at);
        }
    }

    /// `key=` with nothing behind it: the value is there, and empty.
    fn is_empty_value(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|i| self.text.get(i));
        let after = self.text.get(self.at);
        before.is_some_and(u8::is_ascii_alphabetic)
            && after.is_none_or(|b| class::of(*b) & SPACE != 0 || *b == b',' || *b == b';')
    }

    /// ` ()`: a value in brackets that is empty here; `name()` is none.
    fn is_empty_bracket(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|i| self.text.get(i));
        before == Some(&b' ') && self.text.get(self.at) == Some(&b')')
    }

    fn quoted(&mut self, end: usize) {
        let (start, close) = (self.at + 1, end);
        let content = self.text.get(start..close).unwrap_or_default();
        let is_printable = content.iter().all(|b| *b >= b' ');
        if is_printable && self.text.get(self.at) == Some(&b'"') && self.text.get(close + 1) == Some(&b':') {
            // A JSON key: constant, whatever it looks like.
            if start < close {
                self.push(Role::Plain, start, close);
            }
            self.at = close + 1;
            return;
        }
        match quote::meaning(self.key_before(), content) {
            quote::Meaning::Text => {
                self.open_until = close;
                self.at += 1;
            }
            quote::Meaning::Fixed if is_printable => {
                self.push(Role::Fixed, start, close);
                self.at = close + 1;
            }
            quote::Meaning::Request(method) => {
                self.push(Role::Fixed, start, start + method);
                self.slot(Kind::Path, start + method + 1, close);
                self.at = close + 1;
            }
            quote::Meaning::Value | quote::Meaning::Fixed => {
                self.slot(colons::of_quoted(self.text, start, close), start, close);
                self.at = close + 1;
            }
        }
    }

    /// The word that names the value at hand: `msg` in `msg="…"` and in `"msg": "…"`.
    fn key_before(&self) -> &[u8] {
        let Some(last) = self.out.words.last() else { return &[] };
        let between = self.text.get(last.end as usize..self.at).unwrap_or_default();
        if matches!(between, b"=" | b"\":" | b"\": " | b"\" : ") {
            return self.text.get(last.start as usize..last.end as usize).unwrap_or_default();
        }
        &[]
    }

    fn word(&mut self) {
        let start = self.at;
        let mut seen = 0;
        let mut end = start;
        for byte in self.text.get(start..).unwrap_or_default() {
            let class = class::of(*byte);
            if class & WORD == 0 {
                break;
            }
            seen |= class;
            end += 1;
        }
        self.at = end;
        if seen & class::ALNUM == 0 {
            return;
        }
        if self.text.get(end) == Some(&b':')
            && let Some(composite) = colons::with_colons(self.text, start, end)
        {
            self.at = composite.end;
            self.slot(composite.kind, start, composite.end);
            return;
        }
        let seen_behind = seen;
        while end > start && matches!(self.text.get(end - 1), Some(b'.' | b'!' | b'?')) {
            end -= 1;
        }
        let word = self.text.get(start..end).unwrap_or_default();
        if end != self.at {
            seen = class::union(word);
        }
        match judge::classify(word, seen, seen_behind) {
            Class::Plain => self.plain(word, start, end),
            Class::Weak => self.push(Role::Weak, start, end),
            Class::Fixed => self.push(Role::Fixed, start, end),
            Class::Value(kind) => self.slot(kind, start, end),
            Class::Upper if self.is_unit(word, start) => self.push(Role::Weak, start, end),
            Class::Upper => self.push(Role::Upper, start, end),
            Class::Prefixed(length, kind) if self.goes_on(start, length) => {
                self.extend_slot(kind, start, end);
            }
            Class::Prefixed(length, kind) => {
                self.push(Role::Plain, start, start + length);
                self.slot(kind, start + length, end);
            }
        }
    }

    /// An ordinary word, unless its surroundings say that it varies.
    fn plain(&mut self, word: &[u8], start: usize, end: usize) {
        if context::is_boolean(word) && context::is_set(self.text, start) {
            self.slot(Kind::Word, start, end);
            return;
        }
        let is_value = context::is_listed(self.text, start, end);
        let role = if is_value || self.is_unit(word, start) { Role::Weak } else { Role::Plain };
        self.push(role, start, end);
    }

    /// Whether `word` is the unit of the number before it.
    fn is_unit(&self, word: &[u8], start: usize) -> bool {
        let is_behind = self.out.words.last().is_some_and(|last| {
            last.role == Role::Slot && self.text.get(last.end as usize..start) == Some(b" ")
        });
        is_behind && context::is_unit(word)
    }

    /// Whether a prefixed value at `start` continues a list: the value before it has the same prefix.
    fn goes_on(&self, start: usize, length: usize) -> bool {
        let [.., prefix, last] = self.out.words.as_slice() else { return false };
        let gap = self.text.get(last.end as usize..start).unwrap_or_default();
        last.role == Role::Slot
            && prefix.end == last.start
            && gap.iter().all(|b| class::of(*b) & class::JOIN != 0)
            && self.text.get(prefix.start as usize..prefix.end as usize)
                == self.text.get(start..start + length)
    }

    fn push(&mut self, role: Role, start: usize, end: usize) {
        self.out.words.push(Word { start: clamp(start), end: clamp(end), role, shape: (0, 0) });
    }

    /// Adds a variable part: to the slot before it if only joining signs stand between, else as a new slot.
    fn slot(&mut self, kind: Kind, start: usize, end: usize) {
        let gap_start = match self.out.words.last() {
            Some(last) if last.role == Role::Slot => Some(last.end as usize),
            _ => None,
        };
        let gap = gap_start.and_then(|from| self.text.get(from..start));
        if let Some(gap) = gap
            && gap.iter().all(|b| class::of(*b) & class::JOIN != 0)
        {
            self.extend_slot(kind, start, end);
            return;
        }
        self.copy_to(start);
        let shape = clamp(self.out.key.len());
        self.out.key.extend_from_slice(&[SLOT_MARK, kind.code()]);
        self.copied = end;
        self.parts = 1;
        let shape = (shape + 1, clamp(self.out.key.len()));
        self.out.values.push(Value::new(self.out.words.len(), kind, start, end));
        self.out.words.push(Word { start: clamp(start), end: clamp(end), role: Role::Slot, shape });
    }

    fn extend_slot(&mut self, kind: Kind, start: usize, end: usize) {
        let Some(slot) = self.out.words.len().checked_sub(1) else { return };
        self.parts += 1;
        if self.parts <= SHAPE_PARTS {
            self.copy_to(start);
            self.out.key.push(kind.code());
        } else if self.parts == SHAPE_PARTS + 1 {
            self.out.key.push(Kind::Any.code());
        }
        self.copied = end;
        if let Some(last) = self.out.words.last_mut() {
            last.end = clamp(end);
            last.shape.1 = clamp(self.out.key.len());
        }
        self.out.values.push(Value::new(slot, kind, start, end));
    }
}

fn clamp(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
