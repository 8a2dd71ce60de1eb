//! Takes a log line out of its wrappers: docker JSON, CRI, journald JSON, syslog headers, ANSI colours.
//!
//! In: the bytes of one line. Out: the message with what the wrappers said about program, process and host. Wrappers may
//! be nested. Never panics, never invents text: a line that no wrapper fits is its own message.

mod json;
mod syslog;

use std::borrow::Cow;

/// Wrappers inside wrappers that are taken off; real chains have three (docker JSON, syslog header, kernel uptime).
const MAX_LAYERS: usize = 5;

/// A line without its wrappers. Borrows from the line wherever nothing had to be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The message itself.
    pub message: Cow<'a, str>,
    /// The program that wrote it (`sshd`, `kernel`, `nginx`), where a wrapper says so.
    pub program: Option<Cow<'a, str>>,
    /// Its process id.
    pub pid: Option<u32>,
    /// The host a wrapper names.
    pub host: Option<Cow<'a, str>>,
    /// Whether the line continues the one before it (a stack trace's inner line).
    pub is_continuation: bool,
}

/// What one wrapper said, and the text it held.
#[derive(Default)]
struct Layer<'a> {
    message: Cow<'a, str>,
    program: Option<Cow<'a, str>>,
    pid: Option<u32>,
    host: Option<Cow<'a, str>>,
}

/// Takes every wrapper off a line.
pub fn open(line: &[u8]) -> Envelope<'_> {
    // The strict check reads ASCII by words; the lossy one goes byte by byte and is for the rare bad line.
    match std::str::from_utf8(line) {
        Ok(text) => unwrap_all(text),
        Err(_) => unwrap_all(&String::from_utf8_lossy(line)).into_owned(),
    }
}

/// A line that is a message as it is.
pub fn bare(line: &[u8]) -> Envelope<'_> {
    let message = String::from_utf8_lossy(line);
    Envelope { is_continuation: continues(&message), message, ..Envelope::default() }
}

impl<'a> Envelope<'a> {
    /// The same envelope, owning its text.
    pub fn into_owned(self) -> Envelope<'static> {
        Envelope {
            message: Cow::Owned(self.message.into_owned()),
            program: self.program.map(|text| Cow::Owned(text.into_owned())),
            pid: self.pid,
            host: self.host.map(|text| Cow::Owned(text.into_owned())),
            is_continuation: self.is_continuation,
        }
    }

    /// Takes over what a wrapper said. The innermost wrapper that names a program or host is right.
    fn take(&mut self, layer: Layer<'a>) {
        self.message = layer.message;
        if layer.program.is_some() {
            self.program = layer.program;
            self.pid = layer.pid;
        }
        if layer.host.is_some() {
            self.host = layer.host;
        }
    }
}

fn unwrap_all(text: &str) -> Envelope<'_> {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut envelope = Envelope { message: without_colours(text), ..Envelope::default() };
    for _ in 0..MAX_LAYERS {
        let layer = match &envelope.message {
            Cow::Borrowed(text) => peel(text),
            Cow::Owned(text) => peel(text).map(Layer::into_owned),
        };
        let Some(layer) = layer else { break };
        envelope.take(layer);
    }
    envelope.is_continuation = continues(&envelope.message);
    envelope
}

impl Layer<'_> {
    fn into_owned(self) -> Layer<'static> {
        Layer {
            message: Cow::Owned(self.message.into_owned()),
            program: self.program.map(|text| Cow::Owned(text.into_owned())),
            pid: self.pid,
            host: self.host.map(|text| Cow::Owned(text.into_owned())),
        }
    }
}

/// Takes the outermost wrapper off. The first byte decides which ones are worth a try.
fn peel(text: &str) -> Option<Layer<'_>> {
    match text.as_bytes().first()? {
        b'{' => json::peel(text),
        b'<' => syslog::with_priority(text),
        b'[' => syslog::kernel_uptime(text),
        b'0'..=b'9' => syslog::cri(text).or_else(|| syslog::rfc3339(text)).or_else(|| compose(text)),
        b'@' => syslog::tai64(text),
        _ => syslog::bsd(text).or_else(|| compose(text)),
    }
}

/// `service-1  | message`, as `docker compose logs` prints it.
fn compose(text: &str) -> Option<Layer<'_>> {
    const LONGEST_NAME: usize = 64;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = text.bytes().take(LONGEST_NAME).take_while(|byte| is_name(*byte)).count();
    let (name, rest) = text.split_at_checked(name)?;
    let inner = rest.strip_prefix(' ')?.trim_start_matches(' ').strip_prefix('|')?;
    if name.is_empty() {
        return None;
    }
    let message = inner.strip_prefix(' ').unwrap_or(inner);
    // The service's name is the operator's choice: it says nothing about the program inside.
    Some(Layer { message: Cow::Borrowed(message), ..Layer::default() })
}

/// Removes terminal escape sequences: they colour, and hide, text.
fn without_colours(text: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split(ESCAPE);
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let shown = match piece.strip_prefix('[') {
            // A control sequence ends with its first byte in `@`..`~`.
            Some(sequence) => sequence.split_once(|c| ('@'..='~').contains(&c)).map_or("", |(_, rest)| rest),
            None => piece,
        };
        plain.push_str(shown);
    }
    Cow::Owned(plain)
}

/// Whether a message continues the event of the line before it.
fn continues(message: &str) -> bool {
    const STARTS: [&str; 6] = ["at ", "Caused by:", "File \"", "goroutine ", "... ", "Suppressed: "];
    match message.as_bytes().first() {
        Some(b' ' | b'\t') => true,
        Some(b'a' | b'C' | b'F' | b'g' | b'.' | b'S') => {
            STARTS.iter().any(|start| message.starts_with(start))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
