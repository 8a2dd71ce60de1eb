//! Rows as bytes and back: variable-length integers, exact floats, short texts.
//!
//! Whatever a row holds, reading it ends, and asks for no more memory than the row is long.

/// Builds the bytes of a row.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn signed(&mut self, value: i64) {
        self.number((value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned());
    }

    /// A value that uses all of its bits, as hashes do.
    pub(super) fn hash(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn single(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn double(&mut self, value: f64) {
        self.hash(value.to_bits());
    }

    pub(super) fn text(&mut self, value: &str) {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
    }
}

/// Reads the bytes of a row; `None` where they end early or make no sense.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn hash(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(super) fn single(&mut self) -> Option<f32> {
        Some(f32::from_bits(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?)))
    }

    pub(super) fn double(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.hash()?))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.small()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A count of things that follow, each at least one byte long.
    pub(super) fn count(&mut self) -> Option<usize> {
        self.small().filter(|count| *count <= self.0.len())
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: u64, signed: i64, hash: u64, single: u32, text in ".{0,40}") {
            let mut out = Writer::default();
            out.number(number);
            out.signed(signed);
            out.hash(hash);
            out.single(f32::from_bits(single));
            out.text(&text);
            let mut bytes = Reader(&out.0);
            prop_assert_eq!(bytes.number(), Some(number));
            prop_assert_eq!(bytes.signed(), Some(signed));
            prop_assert_eq!(bytes.hash(), Some(hash));
            prop_assert_eq!(bytes.single().map(f32::to_bits), Some(single));
            prop_assert_eq!(bytes.text(), Some(text.as_str()));
            prop_assert!(bytes.0.is_empty());
        }
    }

    #[test]
    fn an_endless_number_and_a_length_beyond_the_row_are_refused() {
        assert_eq!(Reader(&[0xFF; 20]).number(), None);
        assert_eq!(Reader(&[200, 1, b'x']).text(), None);
        assert_eq!(Reader(&[9, 1, 1]).count(), None);
    }
}
