//! Environment variables and `.env` files. Rule: key `section.key` is set by `SIGYN_SECTION_KEY`, its value read as YAML.
//! Real variables come before `.env` of the working directory, and that before `.env` beside the config file.

use std::{collections::BTreeMap, path::Path};

use super::{
    keys,
    mistake::Report,
    tree::{self, Node, Origin},
};

/// Variables that belong to the command line, not to a key.
const COMMAND_LINE: [&str; 3] = ["SIGYN_CONFIG", "SIGYN_URL", "SIGYN_TOKEN"];

/// Environment variables by name. `Debug` shows names only: values may be secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process, completed by `.env` of the working directory and beside `config`.
    pub fn of_process(config: Option<&Path>) -> Self {
        let mut all = Environment::default();
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                all.0.insert(name, value);
            }
        }
        all.complete_from(Path::new(".env"));
        if let Some(folder) = config.and_then(Path::parent) {
            all.complete_from(&folder.join(".env"));
        }
        all
    }

    /// Variables given by name and value.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Environment(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Adds what a `.env` file says about names not set yet. A missing file says nothing.
    pub fn complete_from(&mut self, path: &Path) {
        let Ok(file) = std::fs::File::open(path) else { return };
        for (name, value) in dotenvy::Iter::new(file).flatten() {
            self.0.entry(name).or_insert(value);
        }
    }

    /// The value of a variable; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Lays the `SIGYN_…` variables over the tree. Returns warnings about names nobody knows: orchestrators set such
/// variables by themselves, so they are no mistake.
pub(super) fn overlay(root: &mut Node, environment: &Environment, report: &mut Report) -> Vec<String> {
    let mut known: BTreeMap<String, String> =
        keys::all().into_iter().filter_map(|key| Some((key.variable()?, key.path))).collect();
    let mut warnings = Vec::new();
    for (name, value) in environment.0.range("SIGYN_".to_owned()..) {
        if !name.starts_with("SIGYN_") {
            break;
        }
        let Some(path) = known.remove(name) else {
            if !COMMAND_LINE.contains(&name.as_str()) {
                warnings.push(format!("environment {name}: no such key; it is not read"));
            }
            continue;
        };
        let origin = Origin::Variable(name.clone());
        let is_structure = value.trim_start().starts_with(['[', '{']);
        let node = if is_structure {
            tree::parse(value, |_| origin.clone(), report)
        } else {
            Node::scalar(value.trim_matches('"'), origin)
        };
        root.set(&path, node);
    }
    warnings
}
