//! What a model is told beside the lines of a window: lines of elsewhere that belong to it, how the same thing ended
//! before, the operator's notes, and what is daily life here.
//!
//! Gathered when the model is asked, within fixed bounds, and never stored. It can add to what a finding says and to
//! nothing else: rules' findings stand, and a finding needs a line of the window itself.

mod notes;
mod related;

use std::{collections::BTreeSet, time::Duration};

use super::exhibit::{Exemplar, Exhibit};
use crate::{
    model::Severity,
    store::{
        Connection, StoreError, StreamInfo,
        finding::{self, Earlier},
        note::{self, FoundNote},
        template::{self, Daily},
    },
};

/// Findings of a window whose earlier ones are looked for; the gravest come first.
const KNOWN_MAX: usize = 5;
/// Pieces of notes that are handed on; the question has room for fewer.
const NOTES_MAX: usize = 12;

/// What the operator may set about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tokens of the question for notes.
    pub note_tokens: u64,
    /// Earlier findings told per finding; 0 tells none.
    pub earlier: usize,
    /// What makes a template one of daily life.
    pub daily: Daily,
    /// Lines of other streams.
    pub related: RelatedSettings,
}

/// What the operator may set about lines of other streams.
#[derive(Clone, Debug)]
pub struct RelatedSettings {
    /// How far before and after the suspicious lines; zero looks for none.
    pub span: Duration,
    /// Lines, at most.
    pub max_lines: usize,
    /// Tokens of the question for them.
    pub max_tokens: u64,
    /// Bytes of stored lines that are looked through per window, at most.
    pub max_scan_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            note_tokens: 800,
            earlier: 3,
            daily: Daily { windows: 50, days: 3 },
            related: RelatedSettings::default(),
        }
    }
}

impl Default for RelatedSettings {
    fn default() -> Self {
        RelatedSettings {
            span: Duration::from_secs(15 * 60),
            max_lines: 12,
            max_tokens: 1_000,
            // Once per question to the model, well under a second of one core on a slow machine.
            max_scan_bytes: 16 << 20,
        }
    }
}

/// What was gathered for one window.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Texts of templates that are daily life.
    pub normal: BTreeSet<String>,
    /// Earlier findings, by the place of the known finding they equal.
    pub earlier: Vec<(usize, Earlier)>,
    /// Pieces of notes, the best first.
    pub notes: Vec<FoundNote>,
    /// Tokens the notes may take.
    pub note_tokens: u64,
    /// Lines of other streams, in order of time.
    pub related: Vec<Related>,
    /// Lines that share something as well and are not among `related`.
    pub more_related: u64,
    /// Whether lines may have been missed because there was too much to look through.
    pub is_cut: bool,
    /// Tokens the related lines may take.
    pub related_tokens: u64,
}

/// A line of another stream.
#[derive(Clone, Debug)]
pub struct Related {
    /// The line, with a reference number of its own.
    pub exemplar: Exemplar,
    /// What it shares: `address`, `request id`, `user` or `host`.
    pub kind: &'static str,
    /// The shared word.
    pub word: String,
    /// The group it belongs to; its host.
    pub group: String,
}

/// Whose window it is, and what belongs to the same tenant.
pub struct Surroundings<'a> {
    /// The tenant's number.
    pub tenant: i64,
    /// Its streams.
    pub streams: &'a [StreamInfo],
    /// Labels that name a group, see `analyze::Settings`.
    pub group_by: &'a [String],
}

/// Gathers everything.
pub fn gather(
    conn: &Connection,
    around: &Surroundings<'_>,
    exhibit: &Exhibit,
    settings: &Settings,
) -> Result<Context, StoreError> {
    let mut context = Context {
        normal: template::daily(conn, around.tenant, settings.daily)?,
        earlier: earlier(conn, around.tenant, exhibit, settings.earlier)?,
        note_tokens: settings.note_tokens,
        related_tokens: settings.related.max_tokens,
        ..Context::default()
    };
    let shown: BTreeSet<&str> = exhibit.items.iter().map(|item| item.template.as_str()).collect();
    context.normal.retain(|text| shown.contains(text.as_str()));
    if settings.note_tokens > 0 {
        context.notes = note::search(conn, &notes::query(around.tenant, exhibit, NOTES_MAX))?;
    }
    if !settings.related.span.is_zero() {
        related::find(conn, around, exhibit, &settings.related, &mut context)?;
    }
    Ok(context)
}

fn earlier(
    conn: &Connection,
    tenant: i64,
    exhibit: &Exhibit,
    limit: usize,
) -> Result<Vec<(usize, Earlier)>, StoreError> {
    let mut known: Vec<(Severity, usize, &str)> = exhibit
        .known
        .iter()
        .enumerate()
        .map(|(at, known)| (known.draft.severity, at, known.draft.fingerprint.as_str()))
        .collect();
    known.sort_by_key(|(severity, at, _)| (std::cmp::Reverse(*severity), *at));
    let mut found = Vec::new();
    for (_, at, fingerprint) in known.into_iter().take(KNOWN_MAX).filter(|_| limit > 0) {
        let findings = finding::earlier(conn, tenant, fingerprint, limit)?;
        found.extend(findings.into_iter().map(|finding| (at, finding)));
    }
    Ok(found)
}
