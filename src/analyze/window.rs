//! The open window of one group: every line is counted under its template; a few are kept to be quoted.
//!
//! Memory is bounded by templates × quoted lines, never by the number of lines.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::{
    analyze::line::Line,
    model::{EvidenceLine, Severity, TemplateId, Timestamp},
    wire::level::{self, Level},
};

/// Templates counted one by one in a window; lines of further ones are counted together.
const MAX_TEMPLATES: usize = 5_000;
/// Variable positions of a template whose values are counted.
const MAX_POSITIONS: usize = 8;
/// Distinct values kept per position.
const MAX_VALUES: usize = 12;
/// Lines kept per template: the first, the latest, and those a rule pointed at.
const MAX_TELLING: usize = 4;
/// Bytes of a kept line.
const MAX_QUOTED_BYTES: usize = 2_048;

/// The lines of one group between two positions of the intake log.
pub struct OpenWindow {
    /// The first block with a line of this window: its identity across restarts.
    pub first_seq: u64,
    /// When that block arrived.
    pub opened: Timestamp,
    /// Earliest line.
    pub from: Timestamp,
    /// Latest line.
    pub to: Timestamp,
    /// Lines.
    pub lines: u64,
    /// Lines that rules pointed at, or of an unusual template with a bad level.
    pub suspicious: u64,
    /// Lines whose template was not counted on its own.
    pub uncounted: u64,
    /// Per template.
    pub templates: FxHashMap<TemplateId, TemplateStat>,
}

/// What one line meant to the miner and the rules.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Its template.
    pub template: TemplateId,
    /// The template was made for this line.
    pub is_new: bool,
    /// Lines the template had before.
    pub known_before: u64,
    /// The worst rule that matched.
    pub severity: Option<Severity>,
    /// Whether any rule matched.
    pub hit: bool,
    /// Values of the variable parts.
    pub values: &'a [&'a str],
}

/// One template within the window.
pub struct TemplateStat {
    /// Lines.
    pub count: u64,
    /// First line's time.
    pub first: Timestamp,
    /// Last line's time.
    pub last: Timestamp,
    /// Level of its first line.
    pub level: Level,
    /// Made within this window.
    pub is_new: bool,
    /// Lines the template had before this window.
    pub known_before: u64,
    /// The worst rule that matched one of its lines.
    pub severity: Option<Severity>,
    /// The first line.
    pub head: EvidenceLine,
    /// The latest line kept (refreshed once per block).
    pub tail: Option<EvidenceLine>,
    tail_block: u64,
    /// Lines that rules pointed at.
    pub telling: SmallVec<[EvidenceLine; 1]>,
    /// Values of the variable parts.
    pub values: ValueCounts,
}

impl OpenWindow {
    /// Opens a window at a block.
    pub fn open(first_seq: u64, opened: Timestamp) -> Self {
        OpenWindow {
            first_seq,
            opened,
            from: Timestamp::MAX,
            to: Timestamp::MIN,
            lines: 0,
            suspicious: 0,
            uncounted: 0,
            templates: FxHashMap::default(),
        }
    }

    /// Counts a line; says the level of its template.
    pub fn add(&mut self, line: &Line<'_>, seen: &Seen<'_>) -> Level {
        self.lines += 1;
        self.from = self.from.min(line.timestamp);
        self.to = self.to.max(line.timestamp);
        let full = self.templates.len() >= MAX_TEMPLATES;
        let stat = match self.templates.entry(seen.template) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(_) if full => {
                self.uncounted += 1;
                self.suspicious += u64::from(seen.hit);
                return Level::Unknown;
            }
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(TemplateStat::new(line, seen)),
        };
        stat.add(line, seen);
        self.suspicious += u64::from(seen.hit || stat.is_odd());
        stat.level
    }

    /// Whether rules or bad levels make this window worth explaining.
    pub fn is_suspicious(&self) -> bool {
        self.suspicious > 0
    }
}

impl TemplateStat {
    fn new(line: &Line<'_>, seen: &Seen<'_>) -> Self {
        TemplateStat {
            count: 0,
            first: line.timestamp,
            last: line.timestamp,
            level: level::with_stated(line.labels, line.level, line.raw),
            is_new: seen.is_new,
            known_before: seen.known_before,
            severity: None,
            head: quote(line),
            tail: None,
            tail_block: line.at.block,
            telling: SmallVec::new(),
            values: ValueCounts::default(),
        }
    }

    fn add(&mut self, line: &Line<'_>, seen: &Seen<'_>) {
        self.count += 1;
        self.first = self.first.min(line.timestamp);
        self.last = self.last.max(line.timestamp);
        self.values.add(seen.values);
        if let Some(severity) = seen.severity {
            self.severity = self.severity.max(Some(severity));
        }
        if seen.hit && self.count > 1 && self.telling.len() < MAX_TELLING {
            self.telling.push(quote(line));
        } else if self.tail_block != line.at.block {
            self.tail_block = line.at.block;
            match &mut self.tail {
                Some(tail) => requote(tail, line),
                None => self.tail = Some(quote(line)),
            }
        }
    }

    /// A bad level on a template that is not part of this group's daily life yet.
    pub fn is_odd(&self) -> bool {
        matches!(self.level, Level::Error | Level::Critical | Level::Fatal) && self.known_before < 20
    }
}

/// Makes an evidence line of a raw one, cut on a character border.
pub fn quote(line: &Line<'_>) -> EvidenceLine {
    EvidenceLine {
        stream: line.labels.clone(),
        timestamp_ns: line.timestamp,
        line: quoted(line.raw),
        template: None,
        at: Some(line.at),
    }
}

/// The text of a raw line, cut on a character border.
pub fn quoted(raw: &[u8]) -> String {
    let mut text = String::new();
    quote_into(raw, &mut text);
    text
}

/// Makes `kept` quote `line` from now on; takes over its memory, as this happens once per block and template.
fn requote(kept: &mut EvidenceLine, line: &Line<'_>) {
    if kept.stream != *line.labels {
        kept.stream = line.labels.clone();
    }
    kept.timestamp_ns = line.timestamp;
    kept.at = Some(line.at);
    kept.line.clear();
    quote_into(line.raw, &mut kept.line);
}

fn quote_into(raw: &[u8], out: &mut String) {
    let kept = raw.get(..MAX_QUOTED_BYTES).unwrap_or(raw);
    out.push_str(&String::from_utf8_lossy(kept));
    if kept.len() < raw.len() {
        while out.ends_with(char::REPLACEMENT_CHARACTER) {
            out.pop();
        }
        out.push('…');
    }
}

/// Counts of the values at a template's variable positions; a few per position, the rest only as a number.
#[derive(Default)]
pub struct ValueCounts(SmallVec<[Position; 2]>);

#[derive(Default)]
struct Position {
    /// A hash of each kept value: most values are told apart without looking at their text.
    tags: [u32; MAX_VALUES],
    values: Vec<(Box<str>, u64)>,
    others: u64,
}

impl ValueCounts {
    fn add(&mut self, values: &[&str]) {
        for (at, value) in values.iter().take(MAX_POSITIONS).enumerate() {
            if self.0.len() <= at {
                self.0.push(Position::default());
            }
            if let Some(position) = self.0.get_mut(at) {
                position.add(value);
            }
        }
    }

    /// Values over all positions, rarest first, and how many occurrences had values that were not kept.
    pub fn summary(&self) -> (Vec<(String, u64)>, u64) {
        let mut all: Vec<(String, u64)> =
            self.0.iter().flat_map(|p| &p.values).map(|(value, count)| (value.to_string(), *count)).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        (all, self.0.iter().map(|p| p.others).sum())
    }
}

impl Position {
    fn add(&mut self, value: &str) {
        let tag = tag(value);
        let mut alike = self.alike(tag);
        while alike != 0 {
            let at = alike.trailing_zeros() as usize;
            if let Some((known, count)) = self.values.get_mut(at)
                && known.as_ref() == value
            {
                *count += 1;
                return;
            }
            alike &= alike - 1;
        }
        if let Some(free) = self.tags.get_mut(self.values.len()).filter(|_| value.len() <= 128) {
            *free = tag;
            self.values.push((value.into(), 1));
        } else {
            self.others += 1;
        }
    }

    /// The places whose tag is `tag`, one bit each.
    fn alike(&self, tag: u32) -> u32 {
        self.tags.iter().enumerate().fold(0, |found, (at, known)| found | u32::from(*known == tag) << at)
    }
}

/// Values with different tags differ. Values made to collide cost a comparison each, [`MAX_VALUES`] at most.
fn tag(value: &str) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(value.as_bytes());
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Labels, LineRef},
        wire::envelope::Envelope,
    };

    fn labels() -> Labels {
        Labels::from_pairs([("host", "vps1"), ("job", "auth")]).unwrap()
    }

    fn add(window: &mut OpenWindow, block: u64, raw: &str, seen: &Seen<'_>) {
        let labels = labels();
        let envelope = Envelope::default();
        let timestamp = Timestamp::from_secs(i64::try_from(block).unwrap());
        let at = LineRef { block, index: 0 };
        let line = Line {
            at,
            labels: &labels,
            host: "vps1",
            timestamp,
            level: Level::Unknown,
            raw: raw.as_bytes(),
            envelope: &envelope,
            template: None,
        };
        window.add(&line, seen);
    }

    fn seen(template: u64) -> Seen<'static> {
        Seen {
            template: TemplateId(template),
            is_new: false,
            known_before: 1_000,
            severity: None,
            hit: false,
            values: &[],
        }
    }

    #[test]
    fn every_line_is_counted_and_the_first_the_latest_and_the_hits_are_kept() {
        let mut window = OpenWindow::open(1, Timestamp::from_secs(0));
        for block in 1..=100 {
            let hit = block % 10 == 0;
            let seen = Seen { hit, severity: hit.then_some(Severity::Low), ..seen(7) };
            add(&mut window, block, &format!("line {block}"), &seen);
        }
        let stat = &window.templates[&TemplateId(7)];
        assert_eq!((window.lines, window.suspicious, stat.count), (100, 10, 100));
        assert_eq!(
            (stat.head.line.as_str(), stat.tail.as_ref().unwrap().line.as_str()),
            ("line 1", "line 100")
        );
        assert_eq!(
            stat.telling.iter().map(|e| e.line.as_str()).collect::<Vec<_>>(),
            ["line 10", "line 20", "line 30", "line 40"]
        );
        assert_eq!((window.from, window.to), (Timestamp::from_secs(1), Timestamp::from_secs(100)));
    }

    #[test]
    fn templates_beyond_the_cap_are_counted_together() {
        let mut window = OpenWindow::open(1, Timestamp::from_secs(0));
        for template in 0..(MAX_TEMPLATES as u64 + 50) {
            add(&mut window, 1, "x", &seen(template));
        }
        assert_eq!((window.templates.len(), window.uncounted), (MAX_TEMPLATES, 50));
        assert_eq!(window.lines, MAX_TEMPLATES as u64 + 50);
    }

    #[test]
    fn values_are_counted_per_position_and_rare_ones_come_first() {
        let mut counts = ValueCounts::default();
        for _ in 0..5 {
            counts.add(&["root", "10.0.0.1"]);
        }
        counts.add(&["root", "203.0.113.5"]);
        let (values, others) = counts.summary();
        assert_eq!(values, [("203.0.113.5".into(), 1), ("10.0.0.1".into(), 5), ("root".into(), 6)]);
        assert_eq!(others, 0);
        for n in 0..40 {
            counts.add(&[&format!("user{n}")]);
        }
        assert_eq!(counts.summary().1, 40 - (MAX_VALUES as u64 - 1));
    }

    #[test]
    fn a_value_whose_tag_is_that_of_an_empty_place_is_counted_once_seen() {
        let mut position = Position::default();
        position.add("");
        position.add("");
        position.add("x");
        let kept: Vec<_> = position.values.iter().map(|(value, count)| (value.as_ref(), *count)).collect();
        assert_eq!((kept, position.others), (vec![("", 2), ("x", 1)], 0));
    }

    #[test]
    fn a_huge_line_is_quoted_up_to_a_character_border() {
        let raw = "é".repeat(5_000);
        let mut window = OpenWindow::open(1, Timestamp::from_secs(0));
        add(&mut window, 1, &raw, &seen(1));
        let quoted = &window.templates[&TemplateId(1)].head;
        assert!(quoted.line.len() <= MAX_QUOTED_BYTES + 3 && quoted.line.ends_with("é…"));
    }

    #[test]
    fn an_error_of_daily_life_is_not_suspicious_and_a_rare_one_is() {
        let mut window = OpenWindow::open(1, Timestamp::from_secs(0));
        add(&mut window, 1, "ERROR cache miss", &seen(1));
        assert!(!window.is_suspicious());
        add(&mut window, 1, "ERROR cache gone", &Seen { known_before: 0, is_new: true, ..seen(2) });
        assert!(window.is_suspicious());
    }
}
