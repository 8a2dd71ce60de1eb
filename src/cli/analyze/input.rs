//! Where the lines come from: files, folders, compressed or not, and standard input.
//!
//! Folders are walked in the order of names, without hidden files and without following links to folders. Files are
//! told apart by their first bytes, not by their names.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use crate::model::Timestamp;

/// Files of one run: their names are held in memory.
const MAX_FILES: usize = 100_000;
/// Folders inside folders.
const MAX_DEPTH: usize = 64;
/// Read at once from a file, and held of what was decompressed.
const BUFFER_BYTES: usize = 64 * 1024;
/// The beginning of a file that is searched for signs of not being text.
const LOOKED_AT_BYTES: usize = 1024;
/// Standard input on the command line, and in what is told.
const STDIN: &str = "-";

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    /// A path cannot be used.
    #[error("cannot read '{}': {cause}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// More files than a run takes.
    #[error("more than {MAX_FILES} files; name fewer folders")]
    TooManyFiles,
}

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its path; `-` is standard input.
    pub path: PathBuf,
    /// Its size as far as it is known.
    pub bytes: Option<u64>,
    /// When it was last written: tells the year where lines do not.
    pub modified: Option<Timestamp>,
    /// Found in a folder rather than named: read only if it is text.
    pub is_found: bool,
}

impl Source {
    /// How it is called in what is told.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Opens it; takes compression off. `None` for a found file that is no text. Bytes read are added to `read`.
    pub fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Option<Box<dyn BufRead + Send>>> {
        let raw: Box<dyn Read + Send> = match self.path.as_os_str() == STDIN {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(&self.path)?),
        };
        let mut plain = unpacked(Counted { inner: raw, read: Arc::clone(read) })?;
        if self.is_found {
            let ahead = plain.fill_buf()?;
            let looked_at = ahead.get(..LOOKED_AT_BYTES).unwrap_or(ahead);
            if memchr::memchr(0, looked_at).is_some() {
                return Ok(None);
            }
        }
        Ok(Some(plain))
    }
}

/// The sources that the paths of a command line stand for, in order.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, InputError> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            found.push(Source { path: path.clone(), bytes: None, modified: None, is_found: false });
        } else {
            add(path, 0, &mut found)?;
        }
    }
    Ok(found)
}

fn add(path: &Path, depth: usize, found: &mut Vec<Source>) -> Result<(), InputError> {
    let failed = |cause| InputError::Path { path: path.to_owned(), cause };
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_dir() {
        if found.len() >= MAX_FILES {
            return Err(InputError::TooManyFiles);
        }
        let is_file = about.is_file();
        found.push(Source {
            path: path.to_owned(),
            bytes: is_file.then_some(about.len()),
            modified: about.modified().ok().filter(|_| is_file).map(timestamp),
            is_found: depth > 0,
        });
        return Ok(());
    }
    let mut inside: Vec<_> = fs::read_dir(path).and_then(Iterator::collect).map_err(failed)?;
    inside.sort_by_key(fs::DirEntry::file_name);
    for entry in inside {
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let Ok(kind) = entry.file_type() else { continue };
        let is_file = kind.is_file() || kind.is_symlink() && entry.path().is_file();
        if !is_hidden && (is_file || kind.is_dir() && depth < MAX_DEPTH) {
            add(&entry.path(), depth + 1, found)?;
        }
    }
    Ok(())
}

fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Counts what is read of the file itself: by this is known how much is left.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

fn unpacked(mut raw: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    // A whole buffer, so that what can be seen ahead is more than what tells the kinds apart.
    let mut start = Vec::new();
    raw.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut start)?;
    let (is_gzip, is_zstd) = (start.starts_with(GZIP), start.starts_with(ZSTD));
    let whole = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(start).chain(raw));
    Ok(if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, flate2::bufread::MultiGzDecoder::new(whole)))
    } else if is_zstd {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::with_buffer(whole)?))
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(source: &Source) -> Option<String> {
        let read = Arc::new(AtomicU64::new(0));
        let mut text = String::new();
        source.open(&read).unwrap()?.read_to_string(&mut text).unwrap();
        assert_eq!(Some(read.load(Ordering::Relaxed)), source.bytes);
        Some(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn folders_are_walked_in_order_and_compressed_files_read_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        fs::create_dir_all(folder.path().join("b/deep")).unwrap();
        // Two members, as `cat a.gz b.gz` makes them, under a name that says nothing.
        write("b/deep/old", &[gzip("one\n"), gzip("two\n")].concat());
        write("a.log.zst", &zstd::encode_all(&b"three\n"[..], 1).unwrap());
        write("c.log", b"x");
        write("d.journal", b"LPKSHHRH\0\0\0");
        write(".c.log.swp", b"hidden");
        let found = sources(&[folder.path().to_owned()]).unwrap();
        let texts: Vec<_> = found.iter().map(|s| (s.path.file_name().unwrap().to_owned(), s)).collect();
        let names: Vec<_> = texts.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["a.log.zst", "old", "c.log", "d.journal"]);
        assert_eq!(text(&found[0]).unwrap(), "three\n");
        assert_eq!(text(&found[1]).unwrap(), "one\ntwo\n");
        assert_eq!(text(&found[2]).unwrap(), "x");
        assert!(found[3].open(&Arc::default()).unwrap().is_none(), "found, and no text");
        let named = sources(&[folder.path().join("d.journal")]).unwrap();
        assert_eq!(text(&named[0]).unwrap(), "LPKSHHRH\0\0\0", "what is named is read");
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let error = sources(&[PathBuf::from("/nowhere/at/all.log")]).unwrap_err().to_string();
        assert!(error.starts_with("cannot read '/nowhere/at/all.log': "), "{error}");
    }
}
