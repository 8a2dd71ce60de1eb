//! Keeps the stored notes equal to the files of the knowledge folder.
//!
//! In: a folder of Markdown files, looked at every half minute. Out: rows in one transaction, only when something has
//! changed. A folder that cannot be read leaves what is stored as it is; without a folder the stored files go.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use crate::{
    model::{NOTE_BODY_MAX, NoteDraft},
    runtime::Clock,
    store::{
        Store, StoreError,
        note::{self, NOTES_MAX, NoteFile},
    },
};

/// Entries of the folder that are looked at, whatever they are.
const ENTRIES_MAX: usize = 10_000;

/// What the operator may set about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder; none by default.
    pub dir: Option<PathBuf>,
    /// How often it is looked at.
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { dir: None, poll: Duration::from_secs(30) }
    }
}

/// The engine.
pub struct Librarian {
    store: Store,
    settings: Settings,
    clock: Clock,
    /// What the folder looked like when it was last taken over.
    known: Option<Vec<Stamp>>,
}

/// A file as the folder shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    name: String,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Librarian {
    /// Takes what it works with; nothing runs yet.
    pub fn new(store: Store, settings: Settings, clock: Clock) -> Self {
        Librarian { store, settings, clock, known: None }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), tokio::task::JoinError> {
        loop {
            let (back, done) = tokio::task::spawn_blocking(move || {
                let done = self.run_once();
                (self, done)
            })
            .await?;
            self = back;
            match done {
                Ok(0) => {}
                Ok(changed) => tracing::info!(changed, "knowledge notes were read"),
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => tracing::warn!(%error, "cannot store the knowledge notes, trying again"),
            }
            if self.settings.dir.is_none() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.poll) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Looks at the folder once; says how many notes changed.
    pub fn run_once(&mut self) -> Result<usize, StoreError> {
        let Some(folder) = self.settings.dir.clone() else { return self.take_over(Vec::new()) };
        let stamps = match stamps(&folder) {
            Ok(stamps) => stamps,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the knowledge folder cannot be read");
                return Ok(0);
            }
        };
        if self.known.as_ref() == Some(&stamps) {
            return Ok(0);
        }
        let files = stamps.iter().filter_map(|stamp| read(&folder, &stamp.name)).collect();
        let changed = self.take_over(files)?;
        self.known = Some(stamps);
        Ok(changed)
    }

    fn take_over(&self, files: Vec<NoteFile>) -> Result<usize, StoreError> {
        let now = self.clock.now();
        self.store.write_blocking(move |tx| note::sync_files(tx, &files, now))
    }
}

/// The Markdown files of the folder by name.
fn stamps(folder: &Path) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let is_markdown = Path::new(&name).extension().is_some_and(|end| end == "md" || end == "markdown");
        // Links are followed: mounted configuration is made of them.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if is_markdown && !name.starts_with('.') && metadata.is_file() {
            stamps.push(Stamp { name, bytes: metadata.len(), changed: metadata.modified().ok() });
        }
    }
    stamps.sort();
    if stamps.len() > NOTES_MAX {
        tracing::warn!(
            files = stamps.len(),
            limit = NOTES_MAX,
            "too many knowledge notes, the last are left out"
        );
        stamps.truncate(NOTES_MAX);
    }
    Ok(stamps)
}

/// A file as a note; `None`, said in the log, when it is none.
fn read(folder: &Path, name: &str) -> Option<NoteFile> {
    let mut bytes = Vec::new();
    let read = fs::File::open(folder.join(name))
        .and_then(|file| file.take(NOTE_BODY_MAX as u64 + 1).read_to_end(&mut bytes));
    let note = read.map_err(|error| error.to_string()).and_then(|_| {
        NoteDraft::of_markdown(name, &String::from_utf8_lossy(&bytes)).map_err(|e| e.to_string())
    });
    match note {
        Ok(note) => Some(NoteFile { name: name.to_owned(), note }),
        Err(error) => {
            tracing::warn!(file = name, error, "left out as a knowledge note");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, TestStore};

    fn titles(store: &TestStore) -> Vec<String> {
        let notes = store.read_blocking(|conn| note::list(conn, 1, crate::model::NoteId(0), 99)).unwrap();
        notes.into_iter().map(|note| note.title).collect()
    }

    fn librarian(store: &TestStore, dir: Option<&Path>) -> Librarian {
        let settings = Settings { dir: dir.map(Path::to_owned), ..Settings::default() };
        Librarian::new((**store).clone(), settings, store.clock.clone())
    }

    #[test]
    fn files_come_change_and_go() {
        let (store, folder) = (testing::store(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        put("b.md", "# Mail\nruns on web-1");
        put("a.md", "no heading");
        put("c.txt", "no Markdown");
        put(".hidden.md", "hidden");
        fs::create_dir(folder.path().join("folder.md")).unwrap();
        let mut librarian = librarian(&store, Some(folder.path()));
        assert_eq!(librarian.run_once().unwrap(), 2);
        assert_eq!(titles(&store), ["a", "Mail"]);
        assert_eq!(librarian.run_once().unwrap(), 0);
        put("b.md", "# Mail server\nruns on web-2 now");
        fs::remove_file(folder.path().join("a.md")).unwrap();
        assert_eq!(librarian.run_once().unwrap(), 2);
        assert_eq!(titles(&store), ["Mail server"]);
    }

    #[test]
    fn a_file_too_long_or_empty_is_left_out_and_one_that_is_no_text_is_taken_as_far_as_it_is() {
        let (store, folder) = (testing::store(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("long.md"), "x".repeat(NOTE_BODY_MAX + 1)).unwrap();
        fs::write(folder.path().join("empty.md"), "\n").unwrap();
        fs::write(folder.path().join("odd.md"), b"\xff text").unwrap();
        assert_eq!(librarian(&store, Some(folder.path())).run_once().unwrap(), 1);
        assert_eq!(titles(&store), ["odd"]);
    }

    #[test]
    fn a_folder_that_is_away_for_a_while_loses_nothing_and_one_no_longer_configured_does() {
        let (store, folder) = (testing::store(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("a.md"), "text").unwrap();
        librarian(&store, Some(folder.path())).run_once().unwrap();
        assert_eq!(librarian(&store, Some(Path::new("/nowhere"))).run_once().unwrap(), 0);
        assert_eq!(titles(&store), ["a"]);
        assert_eq!(librarian(&store, None).run_once().unwrap(), 1);
        assert_eq!(titles(&store), [] as [&str; 0]);
    }
}
