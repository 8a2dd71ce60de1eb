//! Reads rule files: the built-in pack, then the operator's.

use std::path::Path;

use super::{
    Settings,
    compile::{self, Source},
    error::RuleError,
    pack,
    set::RuleSet,
    spec::FileSpec,
};

/// Largest rule file; the whole built-in pack is a fifth of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the built-in pack and the operator's files; reports every mistake in them.
pub fn load(settings: &Settings) -> Result<RuleSet, Vec<RuleError>> {
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    let builtin = if settings.builtin { pack::FILES } else { &[] };
    for (name, text) in builtin {
        take(&mut sources, &mut errors, &format!("built-in pack ({name})"), text, true);
    }
    for path in &settings.files {
        match read(path) {
            Ok(text) => take(&mut sources, &mut errors, &path.display().to_string(), &text, false),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { compile::compile(sources, &settings.disabled) } else { Err(errors) }
}

fn read(path: &Path) -> Result<String, RuleError> {
    let refuse = |problem: String, mend: &str| RuleError {
        file: path.display().to_string(),
        rule: None,
        problem,
        mend: mend.to_owned(),
    };
    let unreadable =
        |error: std::io::Error| refuse(format!("cannot be read: {error}"), "check path and rights");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(refuse(format!("is {size} bytes long (limit {MAX_FILE_BYTES})"), "split it"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn take(sources: &mut Vec<Source>, errors: &mut Vec<RuleError>, name: &str, text: &str, is_proven: bool) {
    match serde_saphyr::from_str::<FileSpec>(text) {
        Ok(spec) => sources.push(Source { name: name.to_owned(), spec, is_proven }),
        Err(error) => errors.push(RuleError {
            file: name.to_owned(),
            rule: None,
            problem: error.to_string(),
            mend: "compare with the built-in rules' form".to_owned(),
        }),
    }
}
