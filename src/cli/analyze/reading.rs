//! Reads all sources as one stream of lines in the order of their times, as a server would have received them.
//!
//! Files that belong together (rotated ones, those of several services) thus meet in the same windows. As many files
//! are open at a time as is usual for a process; with more of them the order is that of those that are open. A file
//! that cannot be read is told of at the end and does not stop the others.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io::{self, BufRead},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use super::input::Source;
use crate::{
    analyze::review::{Moment, Place, Timeline},
    model::Timestamp,
    wire::{lines::LineReader, stamp},
};

/// Files open at one time: each holds two buffers and a descriptor.
const MAX_OPEN: usize = 64;
/// Clocks of machines and copies of files are not exact.
const AHEAD: Duration = Duration::from_secs(86_400);
/// Half a year, in which the date without a year that is nearest is the last one.
const HALF_A_YEAR: Duration = Duration::from_secs(182 * 86_400);

/// How lines are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Lines are cut here.
    pub max_line_bytes: usize,
    /// Whether lines have heads with times.
    pub has_heads: bool,
    /// The time of lines that nothing dates.
    pub now: Timestamp,
}

/// All sources, line by line.
pub(super) struct Reading {
    manner: Manner,
    sources: Vec<Source>,
    first: u32,
    begun: usize,
    open: BTreeMap<u32, OpenFile>,
    order: BinaryHeap<Reverse<(Timestamp, u32)>>,
    last: Option<u32>,
    /// Bytes read of the files.
    read: Arc<AtomicU64>,
    problems: Problems,
}

/// What did not go as asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    /// Files that could not be read to their end, with the reason.
    pub failed: Vec<String>,
    /// Files in folders that are no text.
    pub skipped: Vec<String>,
    /// Lines that were cut.
    pub cut: u64,
}

impl Problems {
    /// Takes over those of another reading.
    pub fn join(&mut self, other: Problems) {
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
        self.cut += other.cut;
    }
}

/// A line and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    pub place: Place,
    pub moment: Moment,
    pub line: &'a [u8],
}

struct OpenFile {
    lines: LineReader<Box<dyn BufRead + Send>>,
    timeline: Timeline,
    moment: Moment,
}

impl Reading {
    /// Nothing is opened yet. Files are numbered from `first` on.
    pub fn new(sources: Vec<Source>, first: u32, manner: Manner, read: Arc<AtomicU64>) -> Self {
        Reading {
            manner,
            sources,
            first,
            begun: 0,
            open: BTreeMap::new(),
            order: BinaryHeap::new(),
            last: None,
            read,
            problems: Problems::default(),
        }
    }

    /// What could not be read, and what was left out, so far.
    pub fn problems(&self) -> Problems {
        let cut: u64 = self.open.values().map(|file| file.lines.cut()).sum();
        Problems { cut: self.problems.cut + cut, ..self.problems.clone() }
    }

    /// The next line of all.
    pub fn next_line(&mut self) -> Option<Taken<'_>> {
        if let Some(number) = self.last.take() {
            self.advance(number);
        }
        while self.open.len() < MAX_OPEN && self.begun < self.sources.len() {
            self.begin();
        }
        let Reverse((_, number)) = self.order.pop()?;
        self.last = Some(number);
        let file = self.open.get(&number)?;
        let place = Place { file: number, line: file.lines.number() };
        Some(Taken { place, moment: file.moment, line: file.lines.line() })
    }

    /// Opens the next source.
    fn begin(&mut self) {
        let Some(source) = self.sources.get(self.begun) else { return };
        let number = self.first.saturating_add(u32::try_from(self.begun).unwrap_or(u32::MAX));
        self.begun += 1;
        match source.open(&self.read) {
            Ok(None) => self.problems.skipped.push(source.name()),
            Err(error) => self.problems.failed.push(format!("{}: {error}", source.name())),
            Ok(Some(bytes)) => {
                let mut lines = LineReader::new(bytes, self.manner.max_line_bytes);
                let start = self.start(source, &mut lines);
                let timeline = Timeline::starting(start);
                let moment = Moment { written: start, clock: start };
                self.open.insert(number, OpenFile { lines, timeline, moment });
                self.advance(number);
            }
        }
    }

    /// The time of the first line that names one, as far as can be seen; else that of the file's last change.
    fn start(&self, source: &Source, lines: &mut LineReader<Box<dyn BufRead + Send>>) -> Timestamp {
        let written = source.modified.unwrap_or(self.manner.now);
        if !self.manner.has_heads {
            return written;
        }
        // Trouble with reading is met again when the first line is read.
        let ahead = lines.ahead().unwrap_or_default();
        ahead.split(|byte| *byte == b'\n').find_map(|line| first_stamp(line, written)).unwrap_or(written)
    }

    /// Moves a file to its next line, or closes it.
    fn advance(&mut self, number: u32) {
        let Some(file) = self.open.get_mut(&number) else { return };
        match file.advance(self.manner.has_heads) {
            Ok(true) => {
                self.order.push(Reverse((file.moment.clock, number)));
                return;
            }
            Ok(false) => {}
            Err(error) => {
                let at = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
                let name = self.sources.get(at).map(Source::name).unwrap_or_default();
                let place = match file.lines.number() {
                    0 => String::new(),
                    line => format!(" after line {line}"),
                };
                self.problems.failed.push(format!("{name}{place}: {error}"));
            }
        }
        self.problems.cut += file.lines.cut();
        self.open.remove(&number);
    }
}

impl OpenFile {
    fn advance(&mut self, has_heads: bool) -> io::Result<bool> {
        if !self.lines.advance()? {
            return Ok(false);
        }
        let said = if has_heads { stamp_of(self.lines.line(), self.timeline.last()) } else { None };
        self.moment = self.timeline.next(said);
        Ok(true)
    }
}

fn stamp_of(line: &[u8], near: Timestamp) -> Option<Timestamp> {
    stamp::read(&String::from_utf8_lossy(line), near)
}

/// The time of a line in a file last written at `written`. A date without a year is the last one before that.
fn first_stamp(line: &[u8], written: Timestamp) -> Option<Timestamp> {
    let nearest = stamp_of(line, written)?;
    if nearest <= written.plus(AHEAD) {
        return Some(nearest);
    }
    stamp_of(line, written.minus(HALF_A_YEAR))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::cli::analyze::input;

    fn manner() -> Manner {
        Manner { max_line_bytes: 1_000, has_heads: true, now: Timestamp::from_secs(0) }
    }

    fn read(files: &[(&str, &[u8])]) -> (Vec<(u32, u64, String)>, Problems) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
        for (path, (_, bytes)) in paths.iter().zip(files) {
            fs::write(path, bytes).unwrap();
        }
        let sources = input::sources(&paths).unwrap();
        let mut reading = Reading::new(sources, 0, manner(), Arc::default());
        let mut all = Vec::new();
        while let Some(taken) = reading.next_line() {
            let text = String::from_utf8_lossy(taken.line).into_owned();
            all.push((taken.place.file, taken.place.line, text));
        }
        (all, reading.problems())
    }

    #[test]
    fn files_meet_in_the_order_of_their_times_and_lines_keep_their_numbers() {
        let (lines, _) = read(&[
            ("app.log", b"2026-11-21T10:00:02Z two\n  at its side\n2026-11-21T10:00:05Z five\n"),
            ("app.log.1", b"2026-11-20T23:00:00Z yesterday\n"),
            ("auth.log", b"preamble\n2026-11-21T10:00:03Z three\n"),
        ]);
        let lines: Vec<_> = lines.iter().map(|(file, line, text)| (*file, *line, text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (1, 1, "2026-11-20T23:00:00Z yesterday"),
                (0, 1, "2026-11-21T10:00:02Z two"),
                (0, 2, "  at its side"),
                (2, 1, "preamble"),
                (2, 2, "2026-11-21T10:00:03Z three"),
                (0, 3, "2026-11-21T10:00:05Z five"),
            ]
        );
    }

    #[test]
    fn a_file_that_breaks_off_is_told_of_and_the_others_are_read() {
        let mut broken = vec![0x1f, 0x8b, 8, 0];
        broken.extend([0; 20]);
        let (lines, problems) = read(&[("a.gz", &broken), ("b", b"fine\n")]);
        assert_eq!(lines, [(1, 1, "fine".to_owned())]);
        assert_eq!(problems.failed.len(), 1);
        assert!(problems.failed[0].contains("a.gz: "), "{:?}", problems.failed);
    }

    #[test]
    fn a_date_without_a_year_is_the_last_one_before_the_file_was_written() {
        let written: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let year = |line: &str| first_stamp(line.as_bytes(), written).unwrap().to_string();
        assert_eq!(year("Nov 21 10:00:00 h x: y"), "2025-11-21T10:00:00Z");
        assert_eq!(year("Feb 28 10:00:00 h x: y"), "2026-02-28T10:00:00Z");
        assert_eq!(year("Jun 30 10:00:00 h x: y"), "2025-06-30T10:00:00Z");
    }
}
