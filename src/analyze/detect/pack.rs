//! Numbers and texts as a few bytes: the rows of a detector's memory.
//!
//! Floating point numbers keep their bits, so that what is read back goes on exactly as before. Reading damaged bytes
//! gives `None`, never a panic.

use crate::model::Timestamp;

/// Writes values one after the other.
#[derive(Default)]
pub struct Packer(Vec<u8>);

impl Packer {
    /// Begins a row of this layout; another layout gets another number.
    pub fn new(layout: u8) -> Self {
        Packer(vec![layout])
    }

    /// A number in as many bytes as it needs (LEB128).
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A time.
    pub fn time(&mut self, time: Timestamp) {
        self.0.extend_from_slice(&time.as_nanos().to_le_bytes());
    }

    /// A single precision number.
    pub fn real(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// A double precision number.
    pub fn precise(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// A text with its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The row.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads them in the same order.
pub struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    /// Reads a row of this layout; `None` for another one.
    pub fn new(layout: u8, row: &'a [u8]) -> Option<Self> {
        Some(Unpacker(row.strip_prefix(&[layout])?))
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next time.
    pub fn time(&mut self) -> Option<Timestamp> {
        self.fixed().map(|bytes| Timestamp::from_nanos(i64::from_le_bytes(bytes)))
    }

    /// The next single precision number.
    pub fn real(&mut self) -> Option<f32> {
        self.fixed().map(|bytes| f32::from_bits(u32::from_le_bytes(bytes)))
    }

    /// The next double precision number.
    pub fn precise(&mut self) -> Option<f64> {
        self.fixed().map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
    }

    /// The next text.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_back_bit_by_bit(number: u64, nanos: i64, real: u32, precise: u64, text: String) {
            let mut row = Packer::new(7);
            row.number(number);
            row.time(Timestamp::from_nanos(nanos));
            row.real(f32::from_bits(real));
            row.precise(f64::from_bits(precise));
            row.text(&text);
            let row = row.finish();
            let mut read = Unpacker::new(7, &row).unwrap();
            prop_assert_eq!(read.number(), Some(number));
            prop_assert_eq!(read.time(), Some(Timestamp::from_nanos(nanos)));
            prop_assert_eq!(read.real().map(f32::to_bits), Some(real));
            prop_assert_eq!(read.precise().map(f64::to_bits), Some(precise));
            prop_assert_eq!(read.text(), Some(text.as_str()));
            prop_assert_eq!(read.number(), None);
        }

        #[test]
        fn damaged_rows_are_refused_quietly(row: Vec<u8>) {
            if let Some(mut read) = Unpacker::new(1, &row) {
                let _ = (read.number(), read.text(), read.time(), read.real(), read.precise());
            }
        }
    }
}
