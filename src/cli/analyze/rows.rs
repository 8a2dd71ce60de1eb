//! Results as JSON: an array, or one object a line.

use std::io::{self, Write};

use serde::Serialize;

use super::Format;

/// Writes one result after the other; holds none of them.
pub(in crate::cli) struct Rows<W> {
    out: W,
    is_array: bool,
    count: u64,
}

impl<W: Write> Rows<W> {
    /// JSON lines, or an array for [`Format::Json`].
    pub fn new(out: W, format: Format) -> Self {
        Rows { out, is_array: format == Format::Json, count: 0 }
    }

    /// Writes a result.
    pub fn add(&mut self, row: &impl Serialize) -> io::Result<()> {
        if self.is_array {
            self.out.write_all(if self.count == 0 { b"[\n" } else { b",\n" })?;
        }
        self.count += 1;
        serde_json::to_writer(&mut self.out, row)?;
        if self.is_array { Ok(()) } else { self.out.write_all(b"\n") }
    }

    /// Ends the array.
    pub fn end(mut self) -> io::Result<()> {
        if self.is_array {
            self.out.write_all(if self.count == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, rows: &[u8]) -> String {
        let mut out = Vec::new();
        let mut writer = Rows::new(&mut out, format);
        rows.iter().for_each(|row| writer.add(row).unwrap());
        writer.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_array_is_one_also_without_anything_in_it() {
        assert_eq!(written(Format::Json, &[1, 2]), "[\n1,\n2\n]\n");
        assert_eq!(written(Format::Json, &[]), "[]\n");
        assert_eq!(written(Format::Jsonl, &[1, 2]), "1\n2\n");
        assert_eq!(written(Format::Jsonl, &[]), "");
    }
}
