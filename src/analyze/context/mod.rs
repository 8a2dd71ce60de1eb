//! What a model is told beside the lines of a window: lines of elsewhere that belong to it, how the same thing ended
//! before, the operator's notes, and what is daily life here.
//!
//! Gathered when the model is asked, within fixed bounds, and never stored. It can add to what a finding says and to
//! nothing else: rules' findings stand, and a finding needs a line of the window itself.

mod notes;
mod related;

use std::{collections::BTreeSet, time::Duration};

use super::exhibit::{Exemplar, Exhibit, Item};
use crate::{
    model::{Selector, Severity, Timestamp},
    store::{
        Connection, StoreError, StreamInfo,
        finding::{self, Earlier},
        normal,
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
    /// When the model is asked.
    pub now: Timestamp,
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
    context.normal.extend(taught(conn, around, exhibit)?);
    if settings.note_tokens > 0 {
        context.notes = note::search(conn, &notes::query(around.tenant, exhibit, NOTES_MAX))?;
    }
    if !settings.related.span.is_zero() {
        related::find(conn, around, exhibit, &settings.related, &mut context)?;
    }
    Ok(context)
}

/// Texts of the window's templates that a person has declared normal in all streams they are shown of here.
fn taught(
    conn: &Connection,
    around: &Surroundings<'_>,
    exhibit: &Exhibit,
) -> Result<BTreeSet<String>, StoreError> {
    let mut texts = BTreeSet::new();
    for normal in normal::list(conn, around.tenant)? {
        let is_over = normal.expires_at.is_some_and(|end| end <= around.now);
        // Those about certain addresses or accounts say nothing of the template as such.
        let is_partial = !normal.source_ips.is_empty() || !normal.users.is_empty();
        let Ok(selector) = normal.selector.parse::<Selector>() else { continue };
        if is_over || is_partial {
            continue;
        }
        let is_meant = |item: &&Item| {
            let mut streams = item.exemplars.iter().map(|exemplar| &exemplar.evidence.stream);
            normal.patterns.contains(&item.template) && streams.all(|labels| selector.matches(labels))
        };
        texts.extend(exhibit.items.iter().filter(is_meant).map(|item| item.template.clone()));
    }
    Ok(texts)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::ground::testing::{exhibit, item, known},
        model::{FindingId, Normal},
        store::{
            template::TemplateRow,
            testing::{self, START, TestStore},
        },
    };

    fn gathered(store: &TestStore, exhibit: &Exhibit) -> Context {
        let around = Surroundings { tenant: 1, streams: &[], group_by: &[], now: START };
        store.read_blocking(|conn| gather(conn, &around, exhibit, &Settings::default())).unwrap()
    }

    fn teach(store: &TestStore, id: &str, change: impl FnOnce(&mut Normal)) {
        let mut normal = Normal {
            id: id.to_owned(),
            finding: FindingId("f".to_owned()),
            selector: r#"{job="sshd"}"#.to_owned(),
            patterns: BTreeSet::from(["template of 1".to_owned()]),
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            severity: Severity::Medium,
            note: None,
            created_at: START,
            expires_at: None,
            hidden: 0,
            last_hidden_at: None,
        };
        change(&mut normal);
        assert!(store.write_blocking(move |tx| normal::add(tx, 1, &normal)).unwrap());
    }

    #[test]
    fn what_was_taught_is_normal_where_it_holds_and_as_long_as_it_does() {
        let store = testing::store();
        let exhibit = exhibit(vec![item(1, "one"), item(2, "two")]);
        teach(&store, "over", |normal| normal.expires_at = Some(START));
        teach(&store, "elsewhere", |normal| normal.selector = r#"{job="nginx"}"#.to_owned());
        teach(&store, "one address", |normal| normal.source_ips = BTreeSet::from(["192.0.2.1".to_owned()]));
        assert!(gathered(&store, &exhibit).normal.is_empty());
        teach(&store, "holds", |_| {});
        assert_eq!(gathered(&store, &exhibit).normal, BTreeSet::from(["template of 1".to_owned()]));
    }

    #[test]
    fn daily_life_is_told_of_templates_of_the_window_only() {
        let store = testing::store();
        let row = |id: u64, text: &str| TemplateRow {
            id: crate::model::TemplateId(id),
            tenant: 1,
            text: text.to_owned(),
            sample: String::new(),
            count: 0,
            first_seen: START,
            last_seen: START,
            state: Vec::new(),
        };
        let rows = [row(1, "template of 1"), row(2, "of another window")];
        store.write_blocking(move |tx| template::put(tx, &rows)).unwrap();
        for day in 0..50 {
            let at = START.plus(Duration::from_secs(day * 86_400));
            let seen = [1, 2].map(|id| (crate::model::TemplateId(id), false));
            store.write_blocking(move |tx| template::count_windows(tx, &seen, at)).unwrap();
        }
        let found = gathered(&store, &exhibit(vec![item(1, "one")]));
        assert_eq!(found.normal, BTreeSet::from(["template of 1".to_owned()]));
    }

    #[test]
    fn an_empty_store_and_a_window_without_findings_gather_nothing() {
        let store = testing::store();
        let mut exhibit = exhibit(vec![item(1, "x")]);
        exhibit.known = vec![known("f", 1, &exhibit)];
        let found = gathered(&store, &exhibit);
        assert!(found.normal.is_empty() && found.earlier.is_empty() && found.notes.is_empty());
        assert!(found.related.is_empty() && !found.is_cut);
    }
}
