//! How serious an entry says it is: from its labels, its metadata, the fields of a JSON or logfmt line, and last from
//! words in the line. A pure function of what is stored, computed whenever it is needed.

use crate::model::Labels;

/// The level of an entry, named as Grafana colours them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing says.
    #[default]
    Unknown,
    /// Step by step.
    Trace,
    /// For developers.
    Debug,
    /// Normal work.
    Info,
    /// May become a problem.
    Warn,
    /// Something failed.
    Error,
    /// Something important failed.
    Critical,
    /// A program or the system gave up.
    Fatal,
}

/// Label and field names that carry a level, compared without case and punctuation.
const LEVEL_NAMES: [&str; 8] =
    ["detectedlevel", "level", "severity", "lvl", "severitytext", "loglevel", "priority", "levelname"];

/// How much of a line is searched for words and fields: levels stand at the beginning.
const SEARCHED_BYTES: usize = 512;

/// Longest name or value worth comparing.
const WORD_MAX: usize = 24;

impl Level {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Unknown => "unknown",
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
            Level::Fatal => "fatal",
        }
    }

    /// Reads the value of a level field: a name in any case, or a number as pino and bunyan write it.
    pub fn from_name(name: &[u8]) -> Option<Level> {
        let mut lower = [0; WORD_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"finest" | b"verbose" | b"10" => Level::Trace,
            b"debug" | b"dbg" | b"dbug" | b"fine" | b"20" => Level::Debug,
            b"info" | b"inf" | b"information" | b"informational" | b"notice" | b"log" | b"30" => Level::Info,
            b"warn" | b"wrn" | b"warning" | b"40" => Level::Warn,
            b"error" | b"err" | b"eror" | b"severe" | b"50" => Level::Error,
            b"critical" | b"crit" | b"alert" => Level::Critical,
            b"fatal" | b"ftl" | b"emerg" | b"emergency" | b"panic" | b"60" => Level::Fatal,
            _ => return None,
        })
    }
}

/// What the metadata of an entry says; nothing to do where an entry has none, as most have.
pub fn of_metadata<'a>(metadata: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Level {
    from_pairs(metadata).unwrap_or_default()
}

/// Finds the level of one entry of whose metadata only the level is left.
pub fn with_stated(labels: &Labels, stated: Level, line: &[u8]) -> Level {
    match stated {
        Level::Unknown => detect(labels, std::iter::empty(), line),
        stated => from_labels(labels).unwrap_or(stated),
    }
}

/// Finds the level of one entry.
pub fn detect<'a>(
    labels: &Labels,
    metadata: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    line: &[u8],
) -> Level {
    from_labels(labels)
        .or_else(|| from_pairs(metadata))
        .or_else(|| from_fields(line))
        .unwrap_or_else(|| from_words(line))
}

fn from_labels(labels: &Labels) -> Option<Level> {
    from_pairs(labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<Level> {
    pairs.into_iter().find_map(|(name, value)| {
        if name == b"severity_number" { from_severity_number(value) } else { named_level(name, value) }
    })
}

fn named_level(name: &[u8], value: &[u8]) -> Option<Level> {
    if is_level_name(name) { Level::from_name(value) } else { None }
}

fn is_level_name(name: &[u8]) -> bool {
    let significant = || name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    name.len() <= WORD_MAX && LEVEL_NAMES.iter().any(|known| known.bytes().eq(significant()))
}

/// OpenTelemetry's numbers from 1 to 24.
fn from_severity_number(value: &[u8]) -> Option<Level> {
    Some(match std::str::from_utf8(value).ok()?.parse::<u8>().ok()? {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => return None,
    })
}

/// `"level":"error"` in JSON and `level=error` in logfmt: a level name, `:` or `=`, and a value.
fn from_fields(line: &[u8]) -> Option<Level> {
    let separator = if line.trim_ascii_start().starts_with(b"{") { b':' } else { b'=' };
    let head = line.get(..SEARCHED_BYTES).unwrap_or(line);
    memchr::memchr_iter(separator, head).find_map(|at| {
        let (before, after) = head.split_at_checked(at)?;
        let name = before.trim_ascii_end();
        let name = name.strip_suffix(b"\"").unwrap_or(name);
        let start = name.iter().rposition(|byte| !is_name_byte(*byte)).map_or(0, |at| at + 1);
        let name = name.get(start..)?;
        let value = after.get(1..)?.trim_ascii_start();
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(value.len());
        named_level(name, value.get(..end)?)
    })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The first whole word that names a level; then the words of failure that daemons use instead of a level.
fn from_words(line: &[u8]) -> Level {
    let head = line.get(..SEARCHED_BYTES).unwrap_or(line);
    let words =
        || head.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|word| word.len() > 2);
    let stated = words().enumerate().find_map(|(at, word)| stated_level(at, word));
    stated.or_else(|| words().find_map(implied_level)).unwrap_or_default()
}

/// In running text `info`, `log` or `fine` are plain words: they count in capitals, or near the beginning.
fn stated_level(at: usize, word: &[u8]) -> Option<Level> {
    /// A timestamp, a host and a program name come before the level.
    const EARLY_WORDS: usize = 12;
    if word.len() > 11 || word.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let level = Level::from_name(word)?;
    let is_capital = word.iter().all(u8::is_ascii_uppercase);
    let is_certain = match word.to_ascii_lowercase().as_slice() {
        b"error" | b"err" | b"warning" | b"warn" | b"critical" | b"crit" | b"fatal" | b"panic" => true,
        b"info" | b"debug" | b"trace" | b"notice" => at < EARLY_WORDS,
        _ => false,
    };
    (is_capital || is_certain).then_some(level)
}

/// What `Failed password`, `segfault` or `Traceback` mean.
fn implied_level(word: &[u8]) -> Option<Level> {
    const WORDS: [(&str, Level); 14] = [
        ("failed", Level::Error),
        ("failure", Level::Error),
        ("exception", Level::Error),
        ("traceback", Level::Error),
        ("errors", Level::Error),
        ("segfault", Level::Critical),
        ("oom", Level::Critical),
        ("panicked", Level::Fatal),
        ("refused", Level::Error),
        ("denied", Level::Error),
        ("timeout", Level::Warn),
        ("invalid", Level::Warn),
        ("deprecated", Level::Warn),
        ("warnings", Level::Warn),
    ];
    WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes())).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_line(line: &str) -> Level {
        detect(&Labels::default(), [], line.as_bytes())
    }

    #[test]
    fn words_are_found_where_loki_finds_nothing() {
        for (line, expected) in [
            ("ERROR something", Level::Error),
            ("error: x", Level::Error),
            ("Error: z", Level::Error),
            ("[ERROR] no info here", Level::Error),
            ("WARN z", Level::Warn),
            ("TRACE foo", Level::Trace),
            ("panic: boom", Level::Fatal),
            ("sshd[1]: Failed password for root from 1.2.3.4", Level::Error),
            ("2026-11-21 01:02:03 INFO started with errors=0", Level::Info),
            ("kernel: oom-kill:constraint=CONSTRAINT_NONE", Level::Critical),
            ("listening on 8080", Level::Unknown),
            ("GET /information HTTP/1.1", Level::Unknown),
            ("see terror.log", Level::Unknown),
            ("", Level::Unknown),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn fields_of_json_and_logfmt_say_the_level() {
        for (line, expected) in [
            (r#"{"level":"WARN","msg":"error ahead"}"#, Level::Warn),
            (r#"{"time":1,"level": 50,"msg":"x"}"#, Level::Error),
            (r#"{"log.level":"debug"}"#, Level::Debug),
            ("ts=1 lvl=err msg=ok", Level::Error),
            ("level=\"info\" msg=\"connection error\"", Level::Info),
            ("sublevel=5 x=error_count", Level::Unknown),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn labels_come_before_metadata_and_both_before_the_line() {
        let labels = Labels::from_pairs([("Level", "Warning")]).unwrap();
        let metadata = [(b"severity_text".as_slice(), b"ERROR".as_slice())];
        assert_eq!(detect(&labels, metadata, b"DEBUG x"), Level::Warn);
        assert_eq!(detect(&Labels::default(), metadata, b"DEBUG x"), Level::Error);
        let stated = of_metadata(metadata);
        assert_eq!((of_metadata([]), stated), (Level::Unknown, Level::Error));
        assert_eq!(with_stated(&labels, stated, b"DEBUG x"), Level::Warn);
        assert_eq!(with_stated(&Labels::default(), stated, b"DEBUG x"), Level::Error);
        assert_eq!(with_stated(&Labels::default(), Level::Unknown, b"DEBUG x"), Level::Debug);
        let number = [(b"severity_number".as_slice(), b"21".as_slice())];
        assert_eq!(detect(&Labels::default(), number, b""), Level::Fatal);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_level(line in prop::collection::vec(any::<u8>(), 0..700)) {
            detect(&Labels::default(), [], &line);
        }
    }
}
