//! Which parts of a line may be the key of a session.
//!
//! A line goes in; at most [`MAX_KEYS`] candidates come out, the first of each kind. What a candidate is called decides
//! its kind (`blk_`, `request_id`), so that one key is found again under every template that has it. Whether a kind
//! really holds sessions together is decided by what it does (see `kind`). Allocates nothing.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::analyze::{
    line::Line,
    mine::{Kind, Value},
};

/// Candidates taken from one line.
pub(super) const MAX_KEYS: usize = 4;
/// Values of a line looked at.
const MAX_VALUES: usize = 24;
/// Keys and names longer than this are not keys and names.
const MAX_KEY: usize = 80;
const MAX_NAME: usize = 32;
/// Hexadecimal keys without a name are at least this long: shorter ones are sizes and flags.
const MIN_HEX: usize = 8;

/// How a key is called; texts are as they stand in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'m> {
    /// What the configured expression matched.
    Configured,
    /// The constant beginning of `blk_123`.
    Prefix(&'m str),
    /// The name of `request_id=123`.
    Named(&'m str),
    /// A UUID, however it is called.
    Uuid,
    /// So many hexadecimal digits.
    Hex(usize),
    /// The first thing of the message, before a colon or in brackets: a queue id.
    Head,
    /// An address.
    Address,
    /// The process id of the program.
    Process(&'m str),
}

/// A possible key of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'m> {
    /// The same for every key of this kind.
    pub kind: u64,
    pub name: Name<'m>,
    pub key: Key<'m>,
}

/// The key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'m> {
    Text(&'m str),
    Process(u32),
}

pub(super) type Candidates<'m> = SmallVec<[Candidate<'m>; MAX_KEYS]>;

/// The possible keys of a line, at most one of each kind.
pub(super) fn candidates<'m>(
    line: &'m Line<'_>,
    values: &[Value],
    key: Option<&regex::Regex>,
) -> Candidates<'m> {
    let message = line.envelope.message.as_ref();
    let mut found = Candidates::new();
    if let Some(key) = key {
        found.extend(configured(message, key));
        return found;
    }
    for value in values.iter().take(MAX_VALUES) {
        if let Some((name, text)) = of_value(message, value) {
            add(&mut found, name, Key::Text(text));
        }
    }
    if let (Some(program), Some(pid)) = (&line.envelope.program, line.envelope.pid) {
        add(&mut found, Name::Process(program), Key::Process(pid));
    }
    found
}

impl Candidate<'_> {
    /// Names the session: the same for equal keys of one kind, never 0.
    pub fn hash(&self) -> u64 {
        let hash = match self.key {
            Key::Text(text) => xxh3_64_with_seed(text.as_bytes(), self.kind),
            Key::Process(pid) => xxh3_64_with_seed(&pid.to_le_bytes(), self.kind),
        };
        hash.max(1)
    }
}

impl Key<'_> {
    pub fn to_text(self) -> String {
        match self {
            Key::Text(text) => text.to_owned(),
            Key::Process(pid) => pid.to_string(),
        }
    }
}

impl Name<'_> {
    /// How a verdict calls this kind of key.
    pub fn describe(&self) -> String {
        match self {
            Name::Configured => "key".to_owned(),
            Name::Prefix(prefix) => format!("{prefix}…"),
            Name::Named(name) => (*name).to_owned(),
            Name::Uuid => "uuid".to_owned(),
            Name::Hex(digits) => format!("id of {digits} hexadecimal digits"),
            Name::Head => "id before the message".to_owned(),
            Name::Address => super::ADDRESS.to_owned(),
            Name::Process(program) => format!("pid of {program}"),
        }
    }

    fn kind(&self) -> u64 {
        match self {
            Name::Configured => 1,
            Name::Prefix(prefix) => folded(prefix, 2),
            Name::Named(name) => folded(name, 3),
            Name::Uuid => 4,
            Name::Hex(digits) => 100 + *digits as u64,
            Name::Head => 5,
            Name::Address => 6,
            Name::Process(program) => xxh3_64_with_seed(program.as_bytes(), 7),
        }
    }
}

/// `Request-Id`, `request_id` and `requestId` are one name.
fn folded(name: &str, seed: u64) -> u64 {
    let letters: SmallVec<[u8; MAX_NAME]> =
        name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect();
    xxh3_64_with_seed(&letters, seed)
}

fn configured<'m>(message: &'m str, key: &regex::Regex) -> Option<Candidate<'m>> {
    let found = match key.captures_len() {
        1 => key.find(message),
        _ => key.captures(message).and_then(|groups| groups.get(1).or_else(|| groups.get(0))),
    };
    let text = found?.as_str();
    let is_key = !text.is_empty();
    is_key.then(|| Candidate { kind: Name::Configured.kind(), name: Name::Configured, key: Key::Text(text) })
}

fn add<'m>(found: &mut Candidates<'m>, name: Name<'m>, key: Key<'m>) {
    let kind = name.kind();
    if found.len() < MAX_KEYS && found.iter().all(|other| other.kind != kind) {
        found.push(Candidate { kind, name, key });
    }
}

fn of_value<'m>(message: &'m str, value: &Value) -> Option<(Name<'m>, &'m str)> {
    let may_be_key = matches!(
        value.kind,
        Kind::Number | Kind::Id | Kind::Hex | Kind::Uuid | Kind::Ip | Kind::Word | Kind::Text | Kind::Any
    );
    let range = value.range();
    if !may_be_key || range.len() > MAX_KEY {
        return None;
    }
    let (head, text) = (message.get(..range.start)?, message.get(range.clone())?);
    if value.kind == Kind::Ip {
        return Some((Name::Address, text));
    }
    if value.kind == Kind::Uuid && !has_prefix(head) {
        return Some((Name::Uuid, text));
    }
    if matches!(value.kind, Kind::Number | Kind::Id | Kind::Hex | Kind::Uuid) {
        if let Some(prefix) = prefix(head) {
            let whole = message.get(range.start.checked_sub(prefix.len())?..range.end)?;
            return Some((Name::Prefix(prefix), whole));
        }
        // At the end of a sentence the miner takes the whole word for the value.
        if let Some(prefix) = own_prefix(text) {
            return Some((Name::Prefix(prefix), text));
        }
        if is_head(head, message.get(range.end..)?) && text.len() >= 6 && !text.contains(['.', ',']) {
            return Some((Name::Head, text));
        }
    }
    if let Some(name) = name(head, value.kind) {
        return Some((Name::Named(name), text));
    }
    let is_bare_hex = value.kind == Kind::Hex && text.len() >= MIN_HEX && !text.starts_with("0x");
    is_bare_hex.then_some((Name::Hex(text.len()), text))
}

fn has_prefix(head: &str) -> bool {
    head.ends_with(['_', '-', '#'])
}

/// The word that runs into the value: `blk_` of `blk_123`.
fn prefix(head: &str) -> Option<&str> {
    if !has_prefix(head) {
        return None;
    }
    let is_prefix = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'#');
    let length = head.bytes().rev().take(MAX_NAME + 1).take_while(is_prefix).count();
    let prefix = head.get(head.len().checked_sub(length)?..)?;
    let letters = prefix.bytes().filter(u8::is_ascii_alphabetic).count();
    (length <= MAX_NAME && letters >= 2 && prefix.starts_with(|c: char| c.is_ascii_alphabetic()))
        .then_some(prefix)
}

/// The same when the word is part of the value.
fn own_prefix(text: &str) -> Option<&str> {
    let digit = text.bytes().position(|byte| byte.is_ascii_digit())?;
    let length = text.get(..digit)?.rfind(['_', '-', '#'])? + 1;
    // The sign of a negative number is not part of the prefix.
    let length = match text.as_bytes().get(length.checked_sub(2)?) {
        Some(b'_' | b'-' | b'#') => length - 1,
        _ => length,
    };
    prefix(text.get(..length)?)
}

/// Whether the value begins the message and is set off from it.
fn is_head(head: &str, tail: &str) -> bool {
    match head {
        "" => tail.starts_with(": "),
        "[" => tail.starts_with(']'),
        "(" => tail.starts_with(')'),
        _ => false,
    }
}

/// The name a value has in `name=value`, `"name": "value"`, `[name: value]` or `name value`, if it is the name of
/// something that has a course: a request, a session, a job.
fn name(head: &str, kind: Kind) -> Option<&str> {
    let opened = head.trim_end_matches(['"', '\'', ' ', '[', '(', '#', '<']);
    let named = opened.strip_suffix(['=', ':']).map(|rest| rest.trim_end_matches(['"', '\'']));
    let word = last_word(named.unwrap_or(opened))?;
    let is_key = match named {
        Some(_) => is_course(word) || has_id(word),
        // Without a sign between them only a number or id can belong to the word.
        None => {
            opened.len() < head.len()
                && matches!(kind, Kind::Number | Kind::Id | Kind::Hex)
                && is_course(word)
        }
    };
    is_key.then_some(word)
}

fn last_word(text: &str) -> Option<&str> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = text.bytes().rev().take(MAX_NAME + 1).take_while(is_word).count();
    if !(2..=MAX_NAME).contains(&length) {
        return None;
    }
    text.get(text.len().checked_sub(length)?..)
}

/// `id`, `user_id`, `traceId`; not `uid`, `valid`.
fn has_id(word: &str) -> bool {
    let Some((rest, end)) = word.len().checked_sub(2).and_then(|at| word.split_at_checked(at)) else {
        return false;
    };
    match end {
        "id" => rest.is_empty() || rest.ends_with(['_', '-']),
        "Id" | "ID" => {
            rest.is_empty() || rest.ends_with(|c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-'))
        }
        _ => false,
    }
}

/// Names of things that have a course without being called id.
fn is_course(word: &str) -> bool {
    const COURSES: [&str; 24] = [
        "attempt",
        "build",
        "client",
        "conn",
        "connection",
        "correlationid",
        "invocation",
        "job",
        "message",
        "order",
        "pid",
        "queue",
        "req",
        "request",
        "requestid",
        "session",
        "sessionid",
        "sid",
        "span",
        "task",
        "thread",
        "trace",
        "traceid",
        "transaction",
    ];
    COURSES.iter().any(|course| course.eq_ignore_ascii_case(word))
        || ["txn", "tid", "rid", "reqid", "xid"].iter().any(|course| course.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicU64};

    use super::*;
    use crate::{
        analyze::mine::{Miner, Settings},
        model::{Labels, LineRef, Timestamp},
        wire::{envelope, level::Level},
    };

    fn keys(raw: &str, key: Option<&str>) -> Vec<(String, String)> {
        let envelope = envelope::open(raw.as_bytes());
        let labels = Labels::default();
        let line = Line {
            at: LineRef { block: 1, index: 0 },
            labels: &labels,
            host: "",
            timestamp: Timestamp::default(),
            level: Level::Unknown,
            raw: raw.as_bytes(),
            envelope: &envelope,
            template: None,
        };
        let mut miner = Miner::new(&Settings::default(), 1, Arc::new(AtomicU64::new(1)));
        let values = miner.observe(&envelope.message, Timestamp::default()).values.to_vec();
        let key = key.map(|key| regex::Regex::new(key).unwrap());
        candidates(&line, &values, key.as_ref())
            .iter()
            .map(|found| (found.name.describe(), found.key.to_text()))
            .collect()
    }

    #[track_caller]
    fn check(raw: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
        assert_eq!(keys(raw, None), expected, "{raw}");
    }

    #[test]
    fn keys_are_found_by_prefix_name_and_form() {
        check("stored item blk_-4711 of size 12", &[("blk_…", "blk_-4711")]);
        check("cannot delete blk_-4711. Not found", &[("blk_…", "blk_-4711")]);
        check("done request_id=a81f02 took 12ms", &[("request_id", "a81f02")]);
        check(r#"{"traceId":"4bf92f3577b34da6","n":3}"#, &[("traceId", "4bf92f3577b34da6")]);
        check("picked up job 8812 from list", &[("job", "8812")]);
        check(
            "[instance: 6f1c0b1e-9f57-4c39-8d5e-0b7a7a3f2a11] spawned",
            &[("uuid", "6f1c0b1e-9f57-4c39-8d5e-0b7a7a3f2a11")],
        );
        check("4F9D195432C: removed", &[("id before the message", "4F9D195432C")]);
    }

    #[test]
    fn sizes_codes_and_user_numbers_are_no_keys() {
        check("sent 512 bytes, status=200 uid=0 valid=1", &[]);
        check("flags 0x7ffe0001aabb set", &[]);
    }

    #[test]
    fn a_process_is_a_key_of_its_program() {
        check(
            "Nov 21 10:00:00 vps1 sshd[411]: Connection from 192.0.2.7",
            &[("address", "192.0.2.7"), ("pid of sshd", "411")],
        );
    }

    #[test]
    fn one_kind_gives_one_key_and_it_is_the_first() {
        check("move blk_1 over blk_2 to blk_3", &[("blk_…", "blk_1")]);
    }

    #[test]
    fn spelling_does_not_make_another_kind() {
        let kind = |name| Name::Named(name).kind();
        assert_eq!(kind("request_id"), kind("requestId"));
        assert_ne!(kind("request_id"), Name::Prefix("request_id").kind());
    }

    #[test]
    fn a_configured_expression_decides_alone() {
        let found = keys("order 77 of shop eu-1 request_id=9", Some(r"shop (\S+)"));
        assert_eq!(found, [("key".to_owned(), "eu-1".to_owned())]);
        assert_eq!(keys("order 77", Some(r"\d+")), [("key".to_owned(), "77".to_owned())]);
        assert!(keys("no number", Some(r"\d+")).is_empty());
    }
}
