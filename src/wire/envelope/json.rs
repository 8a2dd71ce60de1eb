//! JSON wrappers: docker's `json-file` driver and journald's export.

use std::borrow::Cow;

use serde::Deserialize;

use super::Layer;

/// Takes docker's or journald's JSON off; JSON that an application wrote itself is no wrapper.
pub(super) fn peel(text: &str) -> Option<Layer<'_>> {
    docker(text).or_else(|| journald(text))
}

/// `{"log":"…\n","stream":"stdout","time":"…"}`.
fn docker(text: &str) -> Option<Layer<'_>> {
    let quoted = text.strip_prefix("{\"log\":\"")?;
    let end = end_of_string(quoted)?;
    let (inner, rest) = quoted.split_at_checked(end)?;
    if !rest.contains("\"stream\":") && !rest.contains("\"time\":") {
        return None;
    }
    let inner = inner.strip_suffix("\\n").unwrap_or(inner);
    let inner = inner.strip_suffix("\\r").unwrap_or(inner);
    let message = match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(unescape(inner)?),
    };
    Some(Layer { message: plain(message), ..Layer::default() })
}

/// Where the string ends: the first quote that is not escaped.
fn end_of_string(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'"', bytes).find(|quote| {
        let slashes = bytes.iter().take(*quote).rev().take_while(|byte| **byte == b'\\').count();
        slashes % 2 == 0
    })
}

fn unescape(inner: &str) -> Option<String> {
    let mut quoted = String::with_capacity(inner.len() + 2);
    quoted.push('"');
    quoted.push_str(inner);
    quoted.push('"');
    serde_json::from_str(&quoted).ok()
}

fn plain(message: Cow<'_, str>) -> Cow<'_, str> {
    match message {
        Cow::Owned(text) if text.contains('\u{1b}') => Cow::Owned(super::without_colours(&text).into_owned()),
        message => message,
    }
}

/// journald's fields that matter here.
#[derive(Deserialize)]
struct Journal<'a> {
    #[serde(rename = "MESSAGE", borrow)]
    message: Field<'a>,
    #[serde(rename = "SYSLOG_IDENTIFIER", borrow, default)]
    identifier: Option<Field<'a>>,
    #[serde(rename = "_COMM", borrow, default)]
    command: Option<Field<'a>>,
    #[serde(rename = "_HOSTNAME", borrow, default)]
    host: Option<Field<'a>>,
    #[serde(rename = "_PID", borrow, default)]
    pid: Option<Field<'a>>,
}

/// A journald value: text, or bytes where the text is not UTF-8.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

impl<'a> Field<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Field::Text(text) => Some(text),
            Field::Bytes(bytes) => Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())),
            Field::Other(_) => None,
        }
    }
}

fn journald(text: &str) -> Option<Layer<'_>> {
    memchr::memmem::find(text.as_bytes(), b"\"MESSAGE\"")?;
    let entry: Journal<'_> = serde_json::from_str(text).ok()?;
    let pid = entry.pid.and_then(Field::text).and_then(|pid| pid.parse().ok());
    Some(Layer {
        message: plain(entry.message.text()?),
        program: entry.identifier.and_then(Field::text).or_else(|| entry.command.and_then(Field::text)),
        pid,
        host: entry.host.and_then(Field::text),
    })
}
