//! Knowledge notes: written by people, found by words.
//!
//! The index holds words only, prepared by [`prepared`]; a question to it is made of quoted words, so that text of log
//! lines can never be syntax. Notes of number 0 as tenant are files and belong to every tenant.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Row};

use crate::{
    model::{Note, NoteDraft, NoteId, NoteRef, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// Notes of one tenant, and files of the folder, at most each.
pub const NOTES_MAX: usize = 500;
/// The tenant of files.
const EVERY_TENANT: i64 = 0;

/// Terms of a question, of each kind; what describes a window well is said by few.
const TERMS_MAX: usize = 48;
/// Words of one term, and bytes of it that are looked at.
const TERM_WORDS: usize = 6;
const TERM_BYTES: usize = 120;
/// Pieces that are looked at more closely.
const CANDIDATES: usize = 40;

/// A file of the knowledge folder.
#[derive(Clone, Debug)]
pub struct NoteFile {
    /// Its name.
    pub name: String,
    /// Its words.
    pub note: NoteDraft,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteChanged {
    /// Done; the note as it is now (as it was, when it was deleted).
    Done(Box<Note>),
    /// There is no such note.
    Missing,
    /// It is a file and changed there.
    IsFile,
    /// There are [`NOTES_MAX`] already.
    TooMany,
}

/// Notes a tenant sees, in order of number, after the given one.
pub fn list(conn: &Connection, tenant: i64, after: NoteId, limit: usize) -> Result<Vec<Note>, StoreError> {
    // Walks the primary key; there are few notes.
    let sql = format!(
        "SELECT {COLUMNS} FROM note WHERE tenant_id IN ({EVERY_TENANT}, ?1) AND id > ?2 ORDER BY id LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((tenant, after.0, limit), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One note a tenant sees.
pub fn get(conn: &Connection, tenant: i64, id: NoteId) -> Result<Option<Note>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM note WHERE tenant_id IN ({EVERY_TENANT}, ?1) AND id = ?2");
    Ok(conn.prepare_cached(&sql)?.query_row((tenant, id.0), from_row).optional()?)
}

/// Writes a new note of a tenant.
pub fn add(
    tx: &Transaction<'_>,
    tenant: i64,
    note: &NoteDraft,
    now: Timestamp,
) -> Result<NoteChanged, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM note WHERE tenant_id = ?1";
    let count: i64 = tx.prepare_cached(COUNT)?.query_row([tenant], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= NOTES_MAX) {
        return Ok(NoteChanged::TooMany);
    }
    let id = insert(tx, tenant, None, note, now)?;
    Ok(get(tx, tenant, id)?.map_or(NoteChanged::Missing, |note| NoteChanged::Done(Box::new(note))))
}

/// Replaces the words of a note.
pub fn replace(
    tx: &Transaction<'_>,
    tenant: i64,
    id: NoteId,
    note: &NoteDraft,
    now: Timestamp,
) -> Result<NoteChanged, StoreError> {
    match get(tx, tenant, id)? {
        None => Ok(NoteChanged::Missing),
        Some(known) if known.file.is_some() => Ok(NoteChanged::IsFile),
        Some(_) => {
            update(tx, id, note, now)?;
            Ok(get(tx, tenant, id)?.map_or(NoteChanged::Missing, |note| NoteChanged::Done(Box::new(note))))
        }
    }
}

/// Deletes a note.
pub fn delete(tx: &Transaction<'_>, tenant: i64, id: NoteId) -> Result<NoteChanged, StoreError> {
    match get(tx, tenant, id)? {
        None => Ok(NoteChanged::Missing),
        Some(known) if known.file.is_some() => Ok(NoteChanged::IsFile),
        Some(known) => {
            remove(tx, id)?;
            Ok(NoteChanged::Done(Box::new(known)))
        }
    }
}

/// Makes the stored files those given; says how many changed. Files keep their numbers.
pub fn sync_files(tx: &Transaction<'_>, files: &[NoteFile], now: Timestamp) -> Result<usize, StoreError> {
    let mut statement = tx.prepare_cached("SELECT file, id, title, body FROM note WHERE file IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    let mut stored: BTreeMap<String, (i64, String, String)> = rows.collect::<Result<_, _>>()?;
    let mut changed = 0;
    for NoteFile { name, note } in files {
        match stored.remove(name) {
            Some((_, title, body)) if title == note.title() && body == note.body() => continue,
            Some((id, _, _)) => update(tx, NoteId(id), note, now)?,
            None => {
                insert(tx, EVERY_TENANT, Some(name), note, now)?;
            }
        }
        changed += 1;
    }
    for (id, _, _) in stored.values() {
        remove(tx, NoteId(*id))?;
        changed += 1;
    }
    Ok(changed)
}

/// What a question is made of.
#[derive(Clone, Debug, Default)]
pub struct NoteQuery {
    /// The tenant's number.
    pub tenant: i64,
    /// Names: services, hosts, users, categories. One of them makes a note worth showing.
    pub names: BTreeSet<String>,
    /// Words of log lines: two of them do.
    pub words: BTreeSet<String>,
    /// At most so many pieces.
    pub limit: usize,
}

/// A piece of a note that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNote {
    /// Of which note.
    pub note: NoteRef,
    /// The heading it stands below.
    pub heading: String,
    /// Its text.
    pub text: String,
}

/// The pieces that speak of these names and words: those that name a name first, then by relevance (BM25).
pub fn search(conn: &Connection, query: &NoteQuery) -> Result<Vec<FoundNote>, StoreError> {
    const SQL: &str = "SELECT note_words.rowid, note.id, note.title, note_part.heading, note_part.text
        FROM note_words JOIN note_part ON note_part.id = note_words.rowid JOIN note ON note.id = note_part.note_id
        WHERE note_words MATCH ?1 AND note.tenant_id IN (0, ?2)
        ORDER BY bm25(note_words, 4.0, 2.0, 1.0), note_words.rowid LIMIT ?3";
    let phrases = |terms: &BTreeSet<String>| -> BTreeSet<String> {
        terms.iter().filter_map(|term| phrase(term)).take(TERMS_MAX).collect()
    };
    let (names, words) = (phrases(&query.names), phrases(&query.words));
    let all: Vec<&str> = names.union(&words).map(String::as_str).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(CANDIDATES).unwrap_or(i64::MAX);
    let rows = statement.query_map((all.join(" OR "), query.tenant, limit), |row| {
        let note = NoteRef { id: NoteId(row.get(1)?), title: row.get(2)? };
        Ok((row.get::<_, i64>(0)?, FoundNote { note, heading: row.get(3)?, text: row.get(4)? }))
    })?;
    let found: Vec<(i64, FoundNote)> = rows.collect::<Result<_, _>>()?;
    let (by_name, by_word) = (hits(conn, &found, &names)?, hits(conn, &found, &words)?);
    let count = |hits: &BTreeMap<i64, usize>, part: i64| hits.get(&part).copied().unwrap_or(0);
    let mut ranked: Vec<(bool, FoundNote)> = found
        .into_iter()
        .filter(|(part, _)| count(&by_name, *part) > 0 || count(&by_word, *part) > 1)
        .map(|(part, found)| (count(&by_name, part) == 0, found))
        .collect();
    ranked.sort_by_key(|(is_nameless, _)| *is_nameless);
    Ok(ranked.into_iter().map(|(_, found)| found).take(query.limit).collect())
}

const COLUMNS: &str = "id, file, title, body, created_ns, updated_ns";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: NoteId(row.get(0)?),
        file: row.get(1)?,
        title: row.get(2)?,
        body: row.get(3)?,
        created_at: Timestamp::from_nanos(row.get(4)?),
        updated_at: Timestamp::from_nanos(row.get(5)?),
    })
}

fn insert(
    tx: &Transaction<'_>,
    tenant: i64,
    file: Option<&str>,
    note: &NoteDraft,
    now: Timestamp,
) -> Result<NoteId, StoreError> {
    const SQL: &str = "INSERT INTO note (tenant_id, file, title, body, created_ns, updated_ns)
        VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
    tx.prepare_cached(SQL)?.execute((tenant, file, note.title(), note.body(), now.as_nanos()))?;
    let id = NoteId(tx.last_insert_rowid());
    insert_parts(tx, id, note)?;
    Ok(id)
}

fn update(tx: &Transaction<'_>, id: NoteId, note: &NoteDraft, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE note SET title = ?2, body = ?3, updated_ns = ?4 WHERE id = ?1";
    tx.prepare_cached(SQL)?.execute((id.0, note.title(), note.body(), now.as_nanos()))?;
    remove_parts(tx, id)?;
    insert_parts(tx, id, note)
}

fn remove(tx: &Transaction<'_>, id: NoteId) -> Result<(), StoreError> {
    remove_parts(tx, id)?;
    tx.prepare_cached("DELETE FROM note WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}

fn insert_parts(tx: &Transaction<'_>, id: NoteId, note: &NoteDraft) -> Result<(), StoreError> {
    const PART: &str = "INSERT INTO note_part (note_id, heading, text) VALUES (?1, ?2, ?3)";
    const WORDS: &str = "INSERT INTO note_words (rowid, title, heading, text) VALUES (?1, ?2, ?3, ?4)";
    let (mut part, mut words) = (tx.prepare_cached(PART)?, tx.prepare_cached(WORDS)?);
    for section in note.sections() {
        part.execute((id.0, &section.heading, &section.text))?;
        let texts = (prepared(note.title()), prepared(&section.heading), prepared(&section.text));
        words.execute((tx.last_insert_rowid(), texts.0, texts.1, texts.2))?;
    }
    Ok(())
}

fn remove_parts(tx: &Transaction<'_>, id: NoteId) -> Result<(), StoreError> {
    const WORDS: &str = "DELETE FROM note_words WHERE rowid IN (SELECT id FROM note_part WHERE note_id = ?1)";
    tx.prepare_cached(WORDS)?.execute([id.0])?;
    tx.prepare_cached("DELETE FROM note_part WHERE note_id = ?1")?.execute([id.0])?;
    Ok(())
}

/// How many of the phrases stand in each of the pieces.
fn hits(
    conn: &Connection,
    found: &[(i64, FoundNote)],
    phrases: &BTreeSet<String>,
) -> Result<BTreeMap<i64, usize>, StoreError> {
    const SQL: &str = "SELECT rowid FROM note_words
        WHERE note_words MATCH ?1 AND rowid IN (SELECT value FROM json_each(?2))";
    let parts: Vec<String> = found.iter().map(|(part, _)| part.to_string()).collect();
    let parts = format!("[{}]", parts.join(","));
    let mut hits = BTreeMap::new();
    let mut statement = conn.prepare_cached(SQL)?;
    for phrase in phrases {
        let mut rows = statement.query((phrase, &parts))?;
        while let Some(row) = rows.next()? {
            *hits.entry(row.get::<_, i64>(0)?).or_default() += 1;
        }
    }
    Ok(hits)
}

/// A term as a phrase of the index's language: quoted words and nothing else, whatever the term holds.
fn phrase(term: &str) -> Option<String> {
    let end = term.floor_char_boundary(TERM_BYTES);
    let prepared = prepared(term.get(..end).unwrap_or_default());
    let words: Vec<&str> = prepared.split(' ').filter(|word| !word.is_empty()).take(TERM_WORDS).collect();
    let is_enough = words.iter().map(|word| word.chars().count()).sum::<usize>() > 1;
    is_enough.then(|| format!("\"{}\"", words.join(" ")))
}

/// Letters and digits with blanks between, and around every character of scripts that write without blanks: the
/// index's tokenizer would take a whole sentence of those for one word.
fn prepared(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        if !c.is_alphanumeric() {
            out.push(' ');
        } else if is_written_without_blanks(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

fn is_written_without_blanks(c: char) -> bool {
    // Thai to Khmer, kana, Han and its extensions.
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::testing::{self, START, TestStore};

    fn draft(title: &str, body: &str) -> NoteDraft {
        NoteDraft::new(title, body).unwrap()
    }

    fn add(store: &TestStore, tenant: i64, title: &str, body: &str) -> NoteId {
        let note = draft(title, body);
        match store.write_blocking(move |tx| super::add(tx, tenant, &note, START)).unwrap() {
            NoteChanged::Done(note) => note.id,
            other => panic!("{other:?}"),
        }
    }

    fn titles(store: &TestStore, names: &[&str], words: &[&str]) -> Vec<String> {
        let of = |terms: &[&str]| terms.iter().map(|term| (*term).to_owned()).collect();
        let query = NoteQuery { tenant: 1, names: of(names), words: of(words), limit: 9 };
        let found = store.read_blocking(|conn| search(conn, &query)).unwrap();
        found.into_iter().map(|found| found.note.title).collect()
    }

    #[test]
    fn a_name_finds_a_note_one_common_word_does_not_and_two_do() {
        let store = testing::store();
        add(&store, 1, "Backups", "The job restic-nightly runs at 02:00 and saturates the disk of web-1.");
        add(&store, 1, "Mail", "Postfix queues grow during newsletters.");
        assert_eq!(titles(&store, &["web-1"], &[]), ["Backups"]);
        assert_eq!(titles(&store, &["web"], &[]), ["Backups"]);
        assert_eq!(titles(&store, &["web-2"], &["disk"]), [] as [&str; 0]);
        assert_eq!(titles(&store, &[], &["disk", "saturated"]), ["Backups"], "words by their stem");
        assert_eq!(titles(&store, &["postfix"], &["disk", "jobs"]), ["Mail", "Backups"], "names come first");
    }

    #[test]
    fn scripts_without_blanks_are_found_by_their_words() {
        let store = testing::store();
        add(&store, 1, "数据库", "每天凌晨三点备份nginx服务器，连接失败属于正常现象。");
        assert_eq!(titles(&store, &["nginx"], &[]), ["数据库"]);
        assert_eq!(titles(&store, &["连接失败"], &[]), ["数据库"]);
        assert_eq!(titles(&store, &["失败连接"], &[]), [] as [&str; 0]);
    }

    #[test]
    fn tenants_do_not_see_each_others_notes_and_all_see_files() {
        let store = testing::store();
        let (mine, other) = (add(&store, 1, "Mine", "nginx"), add(&store, 2, "Other", "nginx"));
        let file = NoteFile { name: "a.md".into(), note: draft("File", "nginx") };
        store.write_blocking(move |tx| sync_files(tx, &[file], START)).unwrap();
        assert_eq!(titles(&store, &["nginx"], &[]), ["Mine", "File"]);
        let listed = store.read_blocking(|conn| list(conn, 1, NoteId(0), 9)).unwrap();
        assert_eq!(listed.iter().map(|note| note.title.as_str()).collect::<Vec<_>>(), ["Mine", "File"]);
        let after = store.read_blocking(|conn| list(conn, 1, mine, 9)).unwrap();
        assert_eq!(after.len(), 1);
        let changed = store.write_blocking(move |tx| delete(tx, 1, other)).unwrap();
        assert_eq!(changed, NoteChanged::Missing);
        let file = listed[1].id;
        let words = draft("x", "y");
        let changed = store.write_blocking(move |tx| replace(tx, 1, file, &words, START)).unwrap();
        assert_eq!(changed, NoteChanged::IsFile);
        assert_eq!(store.write_blocking(move |tx| delete(tx, 1, file)).unwrap(), NoteChanged::IsFile);
    }

    #[test]
    fn what_is_changed_or_deleted_is_not_found_by_its_old_words() {
        let store = testing::store();
        let id = add(&store, 1, "Note", "postgres");
        let words = draft("Note", "redis");
        store.write_blocking(move |tx| replace(tx, 1, id, &words, START)).unwrap();
        assert_eq!((titles(&store, &["postgres"], &[]).len(), titles(&store, &["redis"], &[]).len()), (0, 1));
        store.write_blocking(move |tx| delete(tx, 1, id)).unwrap();
        assert_eq!(titles(&store, &["redis"], &[]), [] as [&str; 0]);
        assert_ne!(add(&store, 1, "Next", "redis"), id, "numbers are not given twice");
    }

    #[test]
    fn files_keep_their_numbers_and_go_with_the_file() {
        let store = testing::store();
        let sync = |files: &[(&str, &str)]| {
            let file =
                |(name, body): &(&str, &str)| NoteFile { name: (*name).to_owned(), note: draft(name, body) };
            let files: Vec<_> = files.iter().map(file).collect();
            store.write_blocking(move |tx| sync_files(tx, &files, START)).unwrap()
        };
        let ids = || {
            let notes = store.read_blocking(|conn| list(conn, 1, NoteId(0), 9)).unwrap();
            notes.into_iter().map(|note| (note.file.unwrap(), note.id)).collect::<Vec<_>>()
        };
        assert_eq!(sync(&[("a.md", "one"), ("b.md", "two")]), 2);
        let before = ids();
        assert_eq!(sync(&[("a.md", "one"), ("b.md", "three")]), 1);
        assert_eq!(ids(), before);
        assert_eq!(sync(&[("b.md", "three")]), 1);
        assert_eq!(ids(), before[1..]);
    }

    #[test]
    fn there_are_only_so_many() {
        let store = testing::store();
        let fill = move |tx: &Transaction<'_>| {
            for n in 0..NOTES_MAX {
                super::add(tx, 1, &draft(&format!("note {n}"), "text"), START)?;
            }
            super::add(tx, 1, &draft("one more", "text"), START)
        };
        assert_eq!(store.write_blocking(fill).unwrap(), NoteChanged::TooMany);
    }

    #[test]
    fn a_term_of_one_letter_or_of_signs_asks_nothing() {
        for term in ["", "*", "\"", "a", "-:^()", "\u{0}"] {
            assert_eq!(phrase(term), None, "{term:?}");
        }
        assert_eq!(phrase("title:x OR NEAR(a b)* \"").as_deref(), Some("\"title x OR NEAR a b\""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn text_of_log_lines_is_never_syntax(term in "\\PC{0,40}", signs in "[\"*:^(){}+,. NEARORANDT-]{0,30}") {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5 (a, tokenize = 'porter unicode61')").unwrap();
            for text in [term, signs] {
                let Some(phrase) = phrase(&text) else { continue };
                let count = conn.query_row("SELECT COUNT(*) FROM t WHERE t MATCH ?1", [&phrase], |row| row.get::<_, i64>(0));
                prop_assert!(count.is_ok(), "{text:?} became {phrase:?}: {count:?}");
            }
        }
    }
}
