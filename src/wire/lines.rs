//! Takes lines out of a stream of bytes: files and pipes of any size, lines of any length.
//!
//! Memory is one line of at most the limit. What stands behind the limit is skipped and counted, never kept; bytes
//! that are no UTF-8 stay as they are.

use std::io::{self, BufRead};

/// Reads one line after the other.
pub struct LineReader<R> {
    source: R,
    limit: usize,
    line: Vec<u8>,
    cut: u64,
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of at most `limit` bytes; longer ones are cut there.
    pub fn new(source: R, limit: usize) -> Self {
        LineReader { source, limit, line: Vec::new(), cut: 0, number: 0 }
    }

    /// Moves to the next line; `false` at the end. A last line needs no line feed.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let (mut is_begun, mut is_cut) = (false, false);
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            is_begun = true;
            let end = memchr::memchr(b'\n', available);
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = self.limit.saturating_sub(self.line.len());
            // The carriage return of a line that just fits is no reason to call it cut.
            is_cut |= part.len() > room && part.get(room..) != Some(b"\r");
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        if self.line.last() == Some(&b'\r') && !is_cut {
            self.line.pop();
        }
        self.cut += u64::from(is_cut);
        self.number += u64::from(is_begun);
        Ok(is_begun)
    }

    /// The line, without its end.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Its number, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Lines cut so far.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// What can be seen of the stream without waiting for more.
    pub fn ahead(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], limit: usize, buffer: usize) -> (Vec<Vec<u8>>, u64) {
        let mut lines = LineReader::new(BufReader::with_capacity(buffer, bytes), limit);
        let mut all = Vec::new();
        while lines.advance().unwrap() {
            all.push(lines.line().to_vec());
            assert_eq!(lines.number(), all.len() as u64);
        }
        assert!(!lines.advance().unwrap(), "the end stays the end");
        (all, lines.cut())
    }

    #[test]
    fn every_line_counts_also_empty_ones_and_a_last_one_without_its_end() {
        let (lines, cut) = read(b"a\n\r\n\nb\r\nc", 100, 2);
        assert_eq!((lines, cut), (vec![b"a".to_vec(), vec![], vec![], b"b".to_vec(), b"c".to_vec()], 0));
        assert_eq!(read(b"", 100, 8).0.len(), 0);
    }

    #[test]
    fn a_line_behind_the_limit_is_cut_and_counted_and_the_next_one_is_whole() {
        let (lines, cut) = read(b"abcdef\ngh\nabc\r\nabcd\r\n", 3, 4);
        assert_eq!(lines, [b"abc".to_vec(), b"gh".to_vec(), b"abc".to_vec(), b"abc".to_vec()]);
        assert_eq!(cut, 2);
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        assert_eq!(read(b"\xff\xfe \x00\n", 100, 8).0, [b"\xff\xfe \x00".to_vec()]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_whatever_the_buffer(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            buffer in 1_usize..20,
        ) {
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let expected: Vec<_> =
                expected.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect();
            prop_assert_eq!(read(&bytes, 1_000, buffer), (expected, 0));
        }
    }
}
