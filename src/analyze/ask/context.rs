//! What stands beside the digest: earlier findings, lines of other streams, the operator's notes. Redacted like the
//! digest, each kind within a share of its own, and what is left out is said.

use super::digest::{BYTES_PER_TOKEN, Shown, quoted};
use crate::{
    analyze::{
        context::{Context, Related},
        exhibit::Exhibit,
    },
    model::{NoteRef, Timestamp},
    redact::{Redacted, Session},
    store::finding::Earlier,
};

/// The digest has this much room before anything is told beside it, so that with a small model the context shrinks first.
const DIGEST_FIRST: usize = 6_000;
/// Of what is left, one part in so many may be context.
const SHARE: usize = 3;
/// Bytes for earlier findings.
const EARLIER_MAX: usize = 1_200;
/// Bytes of an operator's note on a finding.
const REMARK_MAX: usize = 300;

/// The context as text.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Earlier findings.
    pub earlier: Redacted,
    /// Lines of other streams.
    pub related: Redacted,
    /// The operator's notes.
    pub notes: Redacted,
    /// Which notes were shown.
    pub shown: Vec<NoteRef>,
}

impl Beside {
    /// Renders what fits beside a digest that has `room` bytes together with it.
    pub fn render(exhibit: &Exhibit, session: &mut Session, room: usize) -> Self {
        let context = &exhibit.context;
        let mut room = room.saturating_sub(DIGEST_FIRST) / SHARE;
        let mut beside = Beside::default();
        beside.earlier = earlier(exhibit, session, room.min(EARLIER_MAX));
        room = room.saturating_sub(beside.earlier.len());
        (beside.notes, beside.shown) = notes(context, session, room.min(bytes(context.note_tokens)));
        room = room.saturating_sub(beside.notes.len());
        beside.related = related(exhibit, session, room.min(bytes(context.related_tokens)));
        beside
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.earlier.len() + self.related.len() + self.notes.len()
    }
}

/// Every text that may be shown, so that a secret one of them gives away is masked in all.
pub fn texts(context: &Context) -> impl Iterator<Item = &str> {
    let related = context.related.iter().map(|related| related.exemplar.evidence.line.as_str());
    let notes = context.notes.iter().flat_map(|note| [note.note.title.as_str(), &note.heading, &note.text]);
    let earlier = context.earlier.iter();
    let earlier = earlier.flat_map(|(_, e)| std::iter::once(e.title.as_str()).chain(e.note.as_deref()));
    related.chain(notes).chain(earlier)
}

fn bytes(tokens: u64) -> usize {
    usize::try_from(tokens.saturating_mul(BYTES_PER_TOKEN)).unwrap_or(usize::MAX)
}

fn earlier(exhibit: &Exhibit, session: &mut Session, room: usize) -> Redacted {
    let mut shown = Shown::within(room);
    for (known, earlier) in &exhibit.context.earlier {
        shown.offer(&earlier_line(*known, earlier, session));
    }
    shown.finish("earlier findings", None)
}

fn earlier_line(known: usize, earlier: &Earlier, session: &mut Session) -> Redacted {
    let mut text = Redacted::literal("Like K");
    text.push_number(known as u64 + 1);
    text.push_literal(", ");
    text.push_literal(earlier.status.as_str());
    text.push_literal(", ");
    text.push_literal(earlier.severity.as_str());
    if !matches!(earlier.status.as_str(), "open" | "acknowledged") {
        // The count of one that goes on would make every question a new one.
        text.push_literal(" x");
        text.push_number(earlier.count);
    }
    text.push_literal(": ");
    text.push(&quoted(session, &earlier.title));
    if let Some(note) = &earlier.note {
        text.push_literal(" | operator's remark: ");
        text.push(&quoted(session, note).cut(REMARK_MAX));
    }
    text.push_literal("\n");
    text
}

fn related(exhibit: &Exhibit, session: &mut Session, room: usize) -> Redacted {
    let context = &exhibit.context;
    let mut shown = Shown::within(room);
    for related in &context.related {
        shown.offer(&related_line(related, exhibit.to, session));
    }
    shown.left_out += context.more_related;
    let cut = context.is_cut.then_some("Not everything stored could be searched.\n");
    shown.finish("lines", cut)
}

fn related_line(related: &Related, end: Option<Timestamp>, session: &mut Session) -> Redacted {
    let evidence = &related.exemplar.evidence;
    let mut text = Redacted::literal("  L");
    text.push_number(u64::from(related.exemplar.reference));
    text.push_literal(" ");
    if let Some(end) = end {
        // Seconds to the window's end, either way: absolute times would make every digest a new one.
        let (sign, seconds) = match evidence.timestamp_ns < end {
            true => ("-", end.since(evidence.timestamp_ns)),
            false => ("+", evidence.timestamp_ns.since(end)),
        };
        text.push_literal(sign);
        text.push_number(seconds.as_secs());
        text.push_literal("s ");
    }
    text.push_literal("same ");
    text.push_literal(related.kind);
    text.push_literal(" ");
    text.push(&quoted(session, &evidence.stream.to_string()));
    text.push_literal(" ");
    text.push(&quoted(session, &evidence.line));
    text.push_literal("\n");
    text
}

/// Notes, every line of them indented: none can pass for a line of the digest.
fn notes(context: &Context, session: &mut Session, room: usize) -> (Redacted, Vec<NoteRef>) {
    let mut shown = Shown::within(room);
    let mut named: Vec<NoteRef> = Vec::new();
    for piece in &context.notes {
        let mut text = Redacted::literal("Note \"");
        text.push(&quoted(session, &piece.note.title));
        text.push_literal("\"");
        if !piece.heading.is_empty() && piece.heading != piece.note.title {
            text.push_literal(", ");
            text.push(&quoted(session, &piece.heading));
        }
        text.push_literal(":\n");
        // Secrets may span lines: masked first, split afterwards.
        let masked = session.redact(&piece.text);
        for line in masked.lines() {
            text.push_literal("    ");
            text.push(&super::digest::inert(&line));
            text.push_literal("\n");
        }
        if shown.offer(&text) && !named.iter().any(|known| known.id == piece.note.id) {
            named.push(piece.note.clone());
        }
    }
    (shown.finish("pieces of notes", None), named)
}
