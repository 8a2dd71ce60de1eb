//! The documents speak of the product as it is: their snippets are taken out of them and run.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    harness::{TestServer, http, now_nanos, send},
    story,
};

/// What the README calls the server.
const ADDRESS: &str = "http://127.0.0.1:3100";

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The contents of the fenced blocks in a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(name), None) => open = Some((name == language, String::new())),
            (Some(_), Some(_)) => found.extend(open.take().filter(|(is_it, _)| *is_it).map(|(_, text)| text)),
            (None, Some((_, text))) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    found
}

/// The YAML blocks whose first line is the comment `# name`.
fn named(name: &str) -> Vec<String> {
    let readme = read("README.md");
    let yaml = blocks(&readme, "yaml");
    yaml.into_iter().filter(|block| block.starts_with(&format!("# {name}\n"))).collect()
}

/// The lines of shell blocks that begin with this word.
fn commands(word: &str) -> Vec<String> {
    let readme = read("README.md");
    let all = blocks(&readme, "sh").join("");
    all.lines().filter(|line| line.split(' ').next() == Some(word)).map(str::to_owned).collect()
}

/// The words of a shell line; single quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => {
                assert!(quoted || !"&?;|<>*$".contains(c), "a shell would act on '{c}' in: {line}");
                words.last_mut().unwrap().push(c);
            }
        }
    }
    assert!(!quoted, "open quote: {line}");
    words
}

fn sigyn(arguments: &[String], folder: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigyn"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

#[track_caller]
fn good(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_readmes_settings_are_accepted() {
    let settings = named("sigyn.yaml");
    assert_eq!(settings.len(), 5, "a block was lost");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my-rules.yaml"), named("my-rules.yaml").concat()).unwrap();
    let arguments = ["check-config", "--config", "sigyn.yaml"].map(str::to_owned);
    for text in settings {
        fs::write(folder.path().join("sigyn.yaml"), &text).unwrap();
        let said = good(&sigyn(&arguments, folder.path(), &[]), &text);
        assert!(said.starts_with("configuration is good"), "{said}");
    }
    fs::write(folder.path().join("sigyn.yaml"), "forward: {url: 'http://h', selector: '{job=}'}").unwrap();
    assert_eq!(sigyn(&arguments, folder.path(), &[]).status.code(), Some(64));
}

#[test]
fn the_readmes_rule_finds_what_it_says() {
    let rules = named("my-rules.yaml").concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my-rules.yaml");
    fs::write(&file, rules).unwrap();
    let server = TestServer::with_config(format!("rules: {{files: ['{}']}}\n", file.display()));
    let lines = ["payment of 1200 for alice declined by bank"; 3];
    let started = now_nanos() - 5_000_000_000;
    let values: Vec<_> =
        (0..).zip(lines).map(|(at, line)| json!([(started + at * 1_000).to_string(), line])).collect();
    let labels = json!({"job": "shop", "host": "web-1"});
    let pushed = server.push_json(&json!({"streams": [{"stream": labels, "values": values}]})).unwrap();
    assert_eq!(pushed.status, 204, "{}", pushed.text());
    let finding = crate::harness::wait_for("the rule's finding", Duration::from_secs(10), || {
        server.findings().into_iter().next()
    });
    assert_eq!((&finding["category"], &finding["severity"]), (&json!("app_error"), &json!("high")));
    let title = finding["title"].as_str().unwrap();
    assert!(title.contains("payments declined for alice"), "{title}");
}

#[test]
fn the_readmes_requests_are_answered() {
    let server = attacked();
    let id = server.findings()[0]["id"].as_str().unwrap().to_owned();
    let requests = commands("curl");
    assert!(requests.len() >= 10, "{requests:?}");
    for line in requests {
        let line = line.replace("/ID", &format!("/{id}")).replace("NOW_NS", &now_nanos().to_string());
        let answer = curl(server.port, &line);
        assert!([200, 201, 204].contains(&answer), "{answer}: {line}");
    }
    let changed = server.get_json(&format!("/api/v1/findings/{id}"));
    assert_eq!((&changed["status"], &changed["note"]), (&json!("acknowledged"), &json!("on it")));
    for name in ["streams", "hosts", "templates", "detectors", "usage", "openapi.json"] {
        assert_eq!(server.get(&format!("/api/v1/{name}")).status, 200, "{name}");
    }
    assert_eq!(server.get("/ready").status, 200);
}

/// A server with a finding.
fn attacked() -> TestServer {
    let server = TestServer::start();
    server.push(&story::labels(), &story::brute_force("203.0.113.9", true));
    story::finding_about(&server, "203.0.113.9", &["auth_compromise"], Duration::from_secs(10));
    // The incident that a finding belongs to is made a moment after it; then the finding changes no more.
    crate::harness::wait_for("the incident", Duration::from_secs(10), || {
        server.findings().iter().all(|finding| !finding["incident_id"].is_null()).then_some(())
    });
    server
}

/// Does what a line of curl would; the status.
fn curl(port: u16, line: &str) -> u16 {
    let (mut method, mut body, mut headers, mut path, mut is_stream) = ("GET", "", Vec::new(), "", false);
    let words = words(line);
    let mut rest = words.iter().skip(1).map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "-X" => method = rest.next().unwrap(),
            "-d" => body = rest.next().unwrap(),
            "-H" => headers.push(rest.next().unwrap().split_once(": ").unwrap()),
            "-N" => is_stream = true,
            url => path = url.strip_prefix(ADDRESS).unwrap(),
        }
    }
    if is_stream {
        return stream_status(port, path);
    }
    if !body.is_empty() && method == "GET" {
        method = "POST";
    }
    send(port, method, path, &headers, body.as_bytes()).unwrap().status
}

/// The status of an answer that never ends.
fn stream_status(port: u16, path: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    let (first, headers) = http::read_head(&mut BufReader::new(stream)).unwrap();
    assert!(headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"));
    first.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_readmes_commands_do_what_it_says() {
    let server = attacked();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join("sigyn.example.yaml"), folder.path().join("sigyn.example.yaml")).unwrap();
    let quiet = "Nov 21 03:12:00 web-1 CRON[4100]: (root) CMD (run-parts /etc/cron.hourly)\n".repeat(20);
    for name in ["auth.log", "last-week.log"] {
        fs::write(folder.path().join(name), &quiet).unwrap();
    }
    let url = format!("http://127.0.0.1:{}", server.port);
    let data = server.data_dir.display().to_string();
    let mut ran = BTreeSet::new();
    for line in commands("sigyn").iter().filter(|line| line.contains(' ')) {
        let arguments: Vec<_> =
            words(line).iter().skip(1).map(|word| word.replace("/var/lib/sigyn", &data)).collect();
        let said = good(&sigyn(&arguments, folder.path(), &[("SIGYN_URL", &url)]), line);
        assert!(!said.trim().is_empty(), "{line}");
        ran.insert(arguments[0].clone());
    }
    assert_eq!(
        ran,
        BTreeSet::from(["analyze", "backup", "check-config", "findings", "replay"].map(str::to_owned))
    );
    assert!(folder.path().join("sigyn-backup.db").exists());
}

#[test]
fn the_quick_start_is_two_commands_that_exist() {
    let cargo = commands("cargo");
    assert_eq!(cargo[..2], ["cargo run --release -- demo", "cargo test"]);
    let folder = tempfile::tempdir().unwrap();
    let help = good(&sigyn(&["demo", "--help"].map(str::to_owned), folder.path(), &[]), "demo");
    assert!(help.contains("--fast") && help.contains("--exit-after-replay"), "{help}");
}

#[test]
fn findings_on_the_command_line_are_those_of_the_api() {
    let server = attacked();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}", server.port);
    let ask = |more: &[&str]| {
        let arguments: Vec<_> =
            ["findings", "--url", &url].iter().chain(more).map(|&a| a.to_owned()).collect();
        good(&sigyn(&arguments, folder.path(), &[]), "findings")
    };
    let shown: Value = serde_json::from_str(&ask(&["--json", "--limit", "1000"])).unwrap();
    assert_eq!(shown["findings"].as_array().unwrap(), &server.findings());
    let table = ask(&["--category", "auth_compromise", "--severity", "critical", "--width", "80"]);
    assert!(table.starts_with("critical  sshd on web-1: 25 failed logins from 203.0.113.9"), "{table}");
    assert!(table.contains("│ Nov 21 03:12:00 web-1 sshd[4100]: Failed password for root"), "{table}");
    assert_eq!(ask(&["--to", "2020-01-01T00:00:00Z"]).trim(), "no findings");
    assert_eq!(ask(&["--service", "nobody"]).trim(), "no findings");
}

#[test]
fn every_variable_that_is_named_exists() {
    let mut known: BTreeSet<_> =
        sigyn::config::all_keys().iter().filter_map(sigyn::config::Key::variable).collect();
    known.extend(["SIGYN_CONFIG", "SIGYN_URL", "SIGYN_TOKEN"].map(str::to_owned));
    for file in ["README.md", "deploy/sigyn.env", "deploy/sigyn.service", "docs/ARCHITECTURE.md"] {
        let text = read(file);
        let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in names.filter(|name| name.starts_with("SIGYN_") && *name != "SIGYN_") {
            assert!(known.contains(name), "{file}: {name}");
        }
    }
}

#[test]
fn every_key_that_the_readme_names_exists() {
    let known: BTreeSet<_> = sigyn::config::all_keys().into_iter().map(|key| key.path).collect();
    let readme = read("README.md");
    let sections: BTreeSet<_> = known.iter().filter_map(|path| path.split('.').next()).collect();
    let mut checked = 0;
    for name in readme.split('`').skip(1).step_by(2) {
        let is_key = name.split_once('.').is_some_and(|(section, rest)| {
            sections.contains(section) && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.')
        });
        if is_key {
            let is_known = known.iter().any(|path| path == name || path.starts_with(&format!("{name}.")));
            assert!(is_known, "{name}");
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} keys were found");
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let readme = read("README.md");
    let links = readme.match_indices("](").map(|(at, _)| readme[at + 2..].split(')').next().unwrap());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(root().join(link).exists(), "README.md: {link}");
    }
    let map = read("docs/ARCHITECTURE.md");
    let named: BTreeSet<_> = map.split('`').skip(1).step_by(2).collect();
    for path in named.iter().filter(|name| name.starts_with("src/") || name.starts_with("tests/")) {
        assert!(root().join(path).exists(), "docs/ARCHITECTURE.md: {path}");
    }
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_told = named.contains(name.as_str());
        assert!(is_told || !entry.path().is_dir(), "docs/ARCHITECTURE.md says nothing of {name}");
    }
}

#[test]
fn the_service_is_shut_in_and_comes_back() {
    let unit = read("deploy/sigyn.service");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    for (key, expected) in [
        ("DynamicUser", "yes"),
        ("StateDirectory", "sigyn"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("MemoryMax", "1G"),
        ("Restart", "on-failure"),
    ] {
        assert_eq!(value(key), Some(expected), "{key}");
    }
    // What the unit starts must be a command line that is understood; 64 says so only of settings.
    let mut arguments: Vec<_> = words(value("ExecStart").unwrap()).into_iter().skip(1).collect();
    arguments[0] = "check-config".to_owned();
    let folder = tempfile::tempdir().unwrap();
    assert!(good(&sigyn(&arguments, folder.path(), &[]), "ExecStart").contains("/var/lib/sigyn"));
}

#[test]
fn promtails_file_pushes_to_our_endpoint() {
    let promtail: Value = serde_saphyr::from_str(&read("deploy/promtail.yaml")).unwrap();
    let url = promtail["clients"][0]["url"].as_str().unwrap();
    assert!(url.contains(ADDRESS) && url.ends_with("/loki/api/v1/push"), "{url}");
    let jobs: Vec<_> = promtail["scrape_configs"].as_array().unwrap().iter().collect();
    let names: Vec<_> = jobs.iter().map(|job| job["job_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["auth", "syslog", "journal", "nginx", "docker"]);
}
