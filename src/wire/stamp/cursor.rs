//! A place in a line, and the small steps of reading from there.

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Cursor { text, at }
    }

    /// The same line, read from another place.
    pub(super) fn moved_to(self, at: usize) -> Self {
        Cursor { at, ..self }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<u8> {
        self.text.get(self.at + by).copied()
    }

    /// The next `length` bytes.
    pub(super) fn next(&self, length: usize) -> Option<&'a [u8]> {
        self.text.get(self.at..self.at + length)
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Takes one of `bytes`.
    pub(super) fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// Skips blanks and tabs; says how many.
    pub(super) fn blanks(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at - start
    }

    /// How many digits stand here; more than 19 are never a time.
    pub(super) fn digits(&self) -> usize {
        const MOST: usize = 20;
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.iter().take(MOST).take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Reads exactly `length` digits.
    pub(super) fn number(&mut self, length: usize) -> Option<i64> {
        let digits = self.next(length)?;
        let mut value = 0_i64;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
        }
        self.at += length;
        Some(value)
    }

    /// Reads a number of one or two digits.
    pub(super) fn short(&mut self) -> Option<i64> {
        match self.digits() {
            length @ 1..=2 => self.number(length),
            _ => None,
        }
    }

    /// Reads the digits behind a decimal point as nanoseconds; those beyond the ninth are dropped.
    pub(super) fn fraction(&mut self) -> Option<i64> {
        let length = self.digits();
        if length == 0 {
            return None;
        }
        let kept = length.min(9);
        let value = self.number(kept)?;
        self.at += length - kept;
        Some(value * 10_i64.pow(u32::try_from(9 - kept).unwrap_or(0)))
    }

    /// Whether a word ends here.
    pub(super) fn is_boundary(&self) -> bool {
        !self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80)
    }
}
