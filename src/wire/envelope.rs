//! Takes a log line out of its wrappers: docker JSON, CRI, journald JSON, syslog headers, ANSI colours.

use std::borrow::Cow;

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
