//! Headers in front of a message: BSD syslog, RFC 5424, RFC 3339 + host + tag, CRI, kernel uptime, TAI64N.

use std::borrow::Cow;

use super::Layer;

/// Longest tag (`program[pid]`) that is taken for one; RFC 5424 allows 48 for the name.
const MAX_TAG: usize = 80;

/// `<PRI>` before RFC 5424 or BSD syslog.
pub(super) fn with_priority(text: &str) -> Option<Layer<'_>> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let plain = || tagged(rest).unwrap_or_else(|| Layer { message: Cow::Borrowed(rest), ..Layer::default() });
    Some(rfc5424(rest).or_else(|| bsd(rest)).or_else(|| rfc3339(rest)).unwrap_or_else(plain))
}

/// `1 TIME HOST APP PROCID MSGID SD MESSAGE`, behind its priority.
fn rfc5424(text: &str) -> Option<Layer<'_>> {
    let mut rest = text.strip_prefix("1 ")?;
    let mut next = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (time, host, program, pid, _id) = (next()?, next()?, next()?, next()?, next()?);
    if time != "-" && !is_rfc3339(time) {
        return None;
    }
    let message = after_structured_data(rest)?;
    Some(Layer {
        message: Cow::Borrowed(message.trim_start_matches('\u{feff}')),
        program: named(program),
        pid: pid.parse().ok(),
        host: named(host),
    })
}

/// Skips `-` or `[id k="v" …][…]`; a `]` inside a value is escaped or quoted.
fn after_structured_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' if !quoted => depth += 1,
            b']' if !quoted => depth = depth.checked_sub(1)?,
            b' ' if depth == 0 => return text.get(at + 1..),
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    (depth == 0 && !quoted).then_some("")
}

/// `Mmm dd hh:mm:ss host tag[pid]: message`, with or without the host, with a year or fractions as some daemons add.
pub(super) fn bsd(text: &str) -> Option<Layer<'_>> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let bytes = text.as_bytes();
    let month: &[u8; 3] = bytes.first_chunk()?;
    let clock = bytes.get(7..15)?;
    if bytes.get(3) != Some(&b' ') || !is_clock(clock) || !MONTHS.contains(&month) {
        return None;
    }
    let rest = text.get(15..)?;
    let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    host_and_tag(rest.strip_prefix(' ')?)
}

/// `TIME host tag[pid]: message` with an RFC 3339 time.
pub(super) fn rfc3339(text: &str) -> Option<Layer<'_>> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let (time, rest) = text.split_once(' ')?;
    if !is_rfc3339(time) {
        return None;
    }
    host_and_tag(rest)
}

/// `TIME stdout F message`, as container runtimes write it (a `P` marks a part of a longer line).
pub(super) fn cri(text: &str) -> Option<Layer<'_>> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let (time, rest) = text.split_once(' ')?;
    let rest = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr "))?;
    let message = rest.strip_prefix("F").or_else(|| rest.strip_prefix("P"))?;
    if !is_rfc3339(time) {
        return None;
    }
    let message = if message.is_empty() { message } else { message.strip_prefix(' ')? };
    Some(Layer { message: Cow::Borrowed(message), ..Layer::default() })
}

/// `[12345.678901] message`: the kernel's uptime.
pub(super) fn kernel_uptime(text: &str) -> Option<Layer<'_>> {
    let (uptime, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = uptime.trim_start_matches(' ').split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(micros) {
        return None;
    }
    Some(Layer {
        message: Cow::Borrowed(rest.strip_prefix(' ').unwrap_or(rest)),
        program: Some(Cow::Borrowed("kernel")),
        ..Layer::default()
    })
}

/// `@4000000050c1f2b30a1b2c3d message`, as multilog writes it.
pub(super) fn tai64(text: &str) -> Option<Layer<'_>> {
    let (stamp, rest) = text.strip_prefix('@')?.split_once(' ')?;
    if stamp.len() != 24 || !stamp.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(tagged(rest).unwrap_or_else(|| Layer { message: Cow::Borrowed(rest), ..Layer::default() }))
}

/// `host tag[pid]: message`, or without the host as some loggers write to their own files.
fn host_and_tag(text: &str) -> Option<Layer<'_>> {
    let space = text.find(' ')?;
    let (host, rest) = text.split_at_checked(space)?;
    if host.ends_with(':') {
        return tagged(text);
    }
    if host.is_empty() || is_level(host) {
        return None;
    }
    let rest = rest.strip_prefix(' ')?;
    let mut layer = tagged(rest)?;
    layer.host = named(host);
    Some(layer)
}

/// `program[pid]: message` or `program: message`.
fn tagged(text: &str) -> Option<Layer<'_>> {
    let is_name = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'[' | b'{' | b'"' | b'=');
    let end = text.bytes().take(MAX_TAG).take_while(|byte| is_name(*byte)).count();
    let (program, rest) = text.split_at_checked(end)?;
    if program.is_empty() {
        return None;
    }
    let (pid, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (pid, rest) = rest.split_once(']')?;
            (pid.parse().ok(), rest)
        }
        None => (None, rest),
    };
    let message = rest.strip_prefix(':')?;
    let message = match message.strip_prefix(' ') {
        Some(message) => message,
        None if message.is_empty() => message,
        None => return None,
    };
    // sudo aligns the user's name; that is not the blank of a continued line.
    let message = if program == "sudo" { message.trim_start_matches(' ') } else { message };
    Some(Layer { message: Cow::Borrowed(message), program: named(program), pid, host: None })
}

fn named(word: &str) -> Option<Cow<'_, str>> {
    (!word.is_empty() && word != "-").then_some(Cow::Borrowed(word))
}

/// `TIME LEVEL text:` of an application looks like `TIME host tag:`.
fn is_level(word: &str) -> bool {
    const LEVELS: [&str; 12] = [
        "trace", "debug", "info", "notice", "warn", "warning", "error", "err", "fatal", "critical", "crit",
        "panic",
    ];
    let word = word.trim_matches(['[', ']']);
    word.len() <= 8 && LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

fn is_clock(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| if at == 2 || at == 5 { *byte == b':' } else { byte.is_ascii_digit() })
}

/// `2026-11-21T10:00:00`, fraction and zone unchecked.
fn is_rfc3339(word: &str) -> bool {
    let bytes = word.as_bytes();
    let date = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    bytes.len() <= 40
        && bytes.get(10) == Some(&b'T')
        && bytes.iter().take(10).enumerate().all(date)
        && bytes.get(11..19).is_some_and(is_clock)
}
