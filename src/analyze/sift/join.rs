//! Multi-line events: which line a continuation belongs to.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::track::Exhibit;
use crate::model::LineRef;

/// Streams whose last line is remembered; with more, all are forgotten and begin anew.
const MAX_STREAMS: usize = 1024;
/// A head line's text kept for evidence of a hit in its continuation.
const MAX_HEAD: usize = 1024;

/// The last event of each stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Heads(HashMap<u64, Head, FxBuildHasher>);

/// The first line of a stream's last event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub at: LineRef,
    pub text: String,
    /// Where the event's evidence is kept, if a rule saw it.
    pub seen_by: Vec<super::group::TrackKey>,
    /// Whether the next line that looks like an exception's name closes the event (Python writes it last).
    is_traceback: bool,
}

impl Heads {
    /// The event a line continues, if it does.
    pub fn of(&mut self, stream: u64, is_continuation: bool, message: &str) -> Option<&mut Head> {
        let head = self.0.get_mut(&stream)?;
        if is_continuation {
            return Some(head);
        }
        let closes = head.is_traceback && names_exception(message);
        head.is_traceback = head.is_traceback && !closes;
        closes.then_some(head)
    }

    /// Remembers the line that begins an event.
    pub fn begin(&mut self, stream: u64, at: LineRef, text: &str, seen_by: Vec<super::group::TrackKey>) {
        let cut = text.get(..text.floor_char_boundary(MAX_HEAD)).unwrap_or_default();
        let is_traceback = text.trim_end().ends_with("Traceback (most recent call last):");
        if let Some(head) = self.0.get_mut(&stream) {
            head.text.clear();
            head.text.push_str(cut);
            (head.at, head.seen_by, head.is_traceback) = (at, seen_by, is_traceback);
            return;
        }
        if self.0.len() >= MAX_STREAMS {
            self.0.clear();
        }
        self.0.insert(stream, Head { at, text: cut.to_owned(), seen_by, is_traceback });
    }
}

/// Puts a continuation's exhibit under its head line.
pub(super) fn under(head: &Head, mut exhibit: Exhibit) -> Exhibit {
    exhibit.line.line = format!("{}\n{}", head.text, exhibit.line.line);
    exhibit.at = head.at;
    exhibit.joined += 1;
    exhibit
}

/// `package.module.SomeError: text`.
fn names_exception(message: &str) -> bool {
    let name = message.split([':', ' ']).next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    last.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && last.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
