//! What is told about each line only at the end, kept in a temporary file until then: memory does not grow with the
//! input, and the file is a few compressed bytes per line. It has no name: nothing is left behind, whatever happens.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use crate::{analyze::review::score::Note, model::Severity, wire::level::Level};

/// Fast: most of a log repeats itself.
const COMPRESSION: i32 = 1;
/// Longest address kept; a rule reads nothing longer as one.
const MAX_SOURCE: usize = 64;
/// Levels by their number in the file.
const LEVELS: [Level; 8] = [
    Level::Unknown,
    Level::Trace,
    Level::Debug,
    Level::Info,
    Level::Warn,
    Level::Error,
    Level::Critical,
    Level::Fatal,
];

/// Takes notes in the order of the lines.
pub(super) struct Spool {
    out: zstd::Encoder<'static, BufWriter<File>>,
    record: Vec<u8>,
}

impl Spool {
    /// An empty one, in the folder for temporary files.
    pub fn new() -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile()?);
        Ok(Spool { out: zstd::Encoder::new(file, COMPRESSION)?, record: Vec::new() })
    }

    /// Adds a line of a file.
    pub fn add(&mut self, file: u32, note: &Note) -> io::Result<()> {
        self.record.clear();
        number(u64::from(file), &mut self.record);
        number(note.template, &mut self.record);
        let source = note.source.as_deref().filter(|source| source.len() <= MAX_SOURCE);
        let severity = note.severity.map_or(0, |severity| severity.rank() + 1);
        let level = LEVELS.iter().position(|level| *level == note.level).unwrap_or(0);
        self.record.push(severity | ((level as u8) << 3) | (u8::from(source.is_some()) << 7));
        self.record.extend(note.surprise.to_le_bytes());
        if let Some(source) = source {
            self.record.push(source.len() as u8);
            self.record.extend(source.as_bytes());
        }
        self.out.write_all(&self.record)
    }

    /// Everything that was added, as often as it is asked for.
    pub fn finish(self) -> io::Result<Notes> {
        let file = self.out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Notes { file })
    }
}

/// The notes of a run.
pub(super) struct Notes {
    file: File,
}

impl Notes {
    /// Reads them from the beginning: file and note of each line.
    pub fn read(&mut self) -> io::Result<impl Iterator<Item = io::Result<(u32, Note)>>> {
        self.file.rewind()?;
        let mut input = BufReader::new(zstd::Decoder::new(&mut self.file)?);
        Ok(std::iter::from_fn(move || read(&mut input).transpose()))
    }
}

fn read(input: &mut impl Read) -> io::Result<Option<(u32, Note)>> {
    let Some(file) = read_number(input)? else { return Ok(None) };
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let template = read_number(input)?.ok_or_else(cut)?;
    let [flags] = array(input)?;
    let surprise = f32::from_le_bytes(array(input)?);
    let source = match flags >> 7 {
        0 => None,
        _ => {
            let [length] = array(input)?;
            let mut text = vec![0; usize::from(length)];
            input.read_exact(&mut text)?;
            Some(String::from_utf8_lossy(&text).into())
        }
    };
    let severity = (flags & 7).checked_sub(1).map(Severity::from_rank);
    let level = LEVELS.get(usize::from((flags >> 3) & 7)).copied().unwrap_or_default();
    Ok(Some((u32::try_from(file).unwrap_or(u32::MAX), Note { template, severity, level, surprise, source })))
}

/// Seven bits a byte, low ones first; the high bit says that more follow.
fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `None` where the input ends before the first byte.
fn read_number(input: &mut impl Read) -> io::Result<Option<u64>> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        if let Err(error) = input.read_exact(&mut byte) {
            let is_end = shift == 0 && error.kind() == io::ErrorKind::UnexpectedEof;
            return if is_end { Ok(None) } else { Err(error) };
        }
        let [byte] = byte;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Ok(Some(value))
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn note() -> impl Strategy<Value = (u32, Note)> {
        let severity = prop_oneof![Just(None), (0_u8..5).prop_map(|rank| Some(Severity::from_rank(rank)))];
        let source = proptest::option::of("[0-9a-f:.]{1,40}".prop_map(Box::from));
        (any::<u32>(), any::<u64>(), severity, 0..LEVELS.len(), 0.0_f32..1.0, source).prop_map(
            |(file, template, severity, level, surprise, source)| {
                (file, Note { template, severity, level: LEVELS[level], surprise, source })
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_added_is_read_again_and_again(notes in proptest::collection::vec(note(), 0..50)) {
            let mut spool = Spool::new().unwrap();
            for (file, note) in &notes {
                spool.add(*file, note).unwrap();
            }
            let mut kept = spool.finish().unwrap();
            for _ in 0..2 {
                let read: Vec<_> = kept.read().unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(&read, &notes);
            }
        }
    }
}
