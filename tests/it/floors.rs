//! Modules are floors: each imports from lower floors only, and neighbours do not know each other.

use std::{collections::BTreeSet, fs, path::Path};

const FLOORS: [&[&str]; 9] = [
    &["model"],
    &["telemetry", "wire", "redact", "rules"],
    &["runtime", "net"],
    &["store", "llm", "notify"],
    &["ingest", "analyze", "incident", "forward", "query"],
    &["api", "web", "listen"],
    &["config"],
    &["app"],
    &["cli"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The top modules that a source text refers to as `crate::x`, groups included. Unit tests at the end of a file do not
/// count: they may bring a clock or a server of another floor and are no part of the product.
fn imports(source: &str) -> BTreeSet<String> {
    let source = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with('$'))
        .flat_map(|(at, found)| heads(&code[at + found.len()..]))
        .collect()
}

/// The first path segments at the start of `rest`: one name, or those of a `{…}` group.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else { return vec![name(rest)] };
    let mut names = vec![name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// What is wrong with `module` importing what `source` imports.
fn bad_edges(module: &str, source: &str) -> Vec<String> {
    let own = floor(module);
    let bad = |target: &String| match (own, floor(target)) {
        (Some(own), Some(other)) => target != module && other >= own,
        // Neither a module of the table nor an item of the crate's root exists under that name.
        _ => false,
    };
    imports(source).into_iter().filter(bad).map(|target| format!("{module} → {target}")).collect()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn source_files() -> Vec<(String, std::path::PathBuf)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    // Unit tests in a file of their own, like those at the end of a file, are no part of the product.
    found.retain(|path| !path.ends_with("tests.rs"));
    let top = |path: &Path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    };
    found
        .into_iter()
        .map(|path| (top(&path), path))
        .filter(|(top, _)| top != "lib" && top != "main")
        .collect()
}

#[test]
fn no_module_imports_upwards_or_sideways() {
    let bad: Vec<_> = source_files()
        .into_iter()
        .flat_map(|(module, path)| {
            let edges = bad_edges(&module, &fs::read_to_string(&path).unwrap());
            edges.into_iter().map(move |edge| format!("{edge} in {}", path.display()))
        })
        .collect();
    assert!(bad.is_empty(), "imports against the floors:\n{}", bad.join("\n"));
}

#[test]
fn every_top_module_has_a_floor() {
    let missing: BTreeSet<_> = source_files()
        .into_iter()
        .map(|(module, _)| module)
        .filter(|module| floor(module).is_none())
        .collect();
    assert!(missing.is_empty(), "modules without a floor: {missing:?}");
}

#[test]
fn a_bad_edge_is_found_however_it_is_written() {
    let upward = "use crate::{\n    model::{Entry, Labels},\n    api::Api,\n};";
    assert_eq!(bad_edges("store", upward), ["store → api"]);
    assert_eq!(bad_edges("forward", "fn f() { crate::ingest::Settings::default(); }"), ["forward → ingest"]);
    assert_eq!(bad_edges("model", "pub(in crate::store) fn f() {}"), ["model → store"]);
    assert!(bad_edges("store", "use crate::{model::Entry, store::position, runtime::Clock};").is_empty());
    assert!(bad_edges("store", "//! See crate::api for more.").is_empty());
}
