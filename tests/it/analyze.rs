//! `sigyn analyze` and `sigyn replay` as a person runs them: files, folders and pipes in, results out, nothing left behind.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    harness::{Answer, FakeService, TestServer, wait_for},
    story,
};

/// A folder with inputs, and one for temporary files that must be empty at the end.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Bench(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigyn"));
        command.args(args).current_dir(self.0.path()).env_clear().env("TMPDIR", self.path("tmp"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end; the exit code and what was printed.
    #[track_caller]
    fn run(&self, args: &[&str]) -> (i32, String) {
        self.ended(self.command(args).output().unwrap())
    }

    #[track_caller]
    fn pipe(&self, args: &[&str], input: &[u8]) -> (i32, String) {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        self.ended(child.wait_with_output().unwrap())
    }

    #[track_caller]
    fn ended(&self, output: Output) -> (i32, String) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked at") && !said.contains('\r'), "{said}");
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0, "temporary files are left");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    /// Runs to a good end; the objects of its lines.
    #[track_caller]
    fn rows(&self, args: &[&str]) -> Vec<Value> {
        let (code, text) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {text}");
        objects(&text)
    }
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A quiet morning in which somebody guesses passwords for a minute; its lines from number 31 on.
fn attacked() -> String {
    let quiet = |n: u32| {
        format!(
            "Nov 21 10:{:02}:{:02} web-1 CRON[{}]: (root) CMD (run-parts /etc/cron.hourly)\n",
            n / 2,
            n % 2 * 30,
            900 + n
        )
    };
    let guess = |n: u32| {
        format!(
            "Nov 21 10:15:{:02} web-1 sshd[4100]: Failed password for root from 203.0.113.9 port {} ssh2\n",
            n * 2,
            40_000 + n
        )
    };
    let mut text: String = (0..30).map(quiet).collect();
    text.extend((0..25).map(guess));
    text.extend((32..60).map(quiet));
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn findings_say_where_their_lines_stand_in_every_format() {
    let bench = Bench::new();
    bench.write("auth.log", attacked());
    let (code, text) = bench.run(&["analyze", "--format", "json", "auth.log"]);
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["analysis"]["lines"], 83);
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["category"] == "brute_force").expect("a finding");
    assert_eq!((&finding["source_ips"], &finding["hosts"]), (&json!(["203.0.113.9"]), &json!(["web-1"])));
    let lines: Vec<_> = attacked().lines().map(str::to_owned).collect();
    for line in finding["evidence"].as_array().unwrap() {
        let number = line["line_number"].as_u64().unwrap() as usize;
        assert!((31..=55).contains(&number), "{line}");
        assert_eq!((&line["line"], &line["file"]), (&json!(lines[number - 1]), &json!("auth.log")));
    }
    let rows = bench.rows(&["analyze", "--format", "jsonl", "auth.log"]);
    assert_eq!(&rows, findings);
    let (code, table) = bench.run(&["analyze", "auth.log", "--fail-on", "medium"]);
    assert_eq!(code, 3);
    assert!(table.contains("failed logins for root from 203.0.113.9"), "{table}");
    assert!(table.contains(" in 83 lines of 1 file, "), "{table}");
    assert_eq!(bench.run(&["analyze", "auth.log", "--fail-on", "critical"]).0, 0);
}

#[test]
fn the_same_input_gives_the_same_output() {
    let bench = Bench::new();
    bench.write("auth.log", attacked());
    bench.write("app.log", "2026-11-21T10:15:20Z ERROR cannot reach the payment service\n".repeat(30));
    for emit in ["findings", "lines", "templates", "sessions"] {
        let args = ["analyze", "--emit", emit, "--format", "json", "auth.log", "app.log"];
        assert_eq!(bench.run(&args), bench.run(&args), "{emit}");
    }
}

#[test]
fn every_line_has_the_final_template_of_its_cluster() {
    let bench = Bench::new();
    let users = ["anna", "bert", "carl", "dora", "emil", "fritz"];
    let lines = users.map(|user| format!("session of {user} was opened\n")).concat();
    bench.write("a.log", [lines.as_bytes(), b"\nshort \xff\n"].concat());
    let rows = bench.rows(&["analyze", "--emit", "templates", "--message-only", "a.log"]);
    let numbers: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8], "also the empty line");
    let texts: BTreeSet<_> = rows[..6].iter().map(|row| row["template"].as_str().unwrap()).collect();
    assert_eq!(texts, BTreeSet::from(["session of <*> was opened"]));
    let (_, table) =
        bench.run(&["analyze", "--emit", "templates", "--format", "table", "--message-only", "a.log"]);
    assert!(table.starts_with("           6  session of <*> was opened\n"), "{table}");
}

#[test]
fn lines_are_scored_and_what_was_never_learnt_stands_out() {
    let bench = Bench::new();
    bench.write("auth.log", attacked());
    let rows = bench.rows(&["analyze", "--emit", "lines", "auth.log"]);
    assert_eq!(rows.len(), 83);
    for row in &rows {
        let is_guess = (31..=55).contains(&row["line"].as_u64().unwrap());
        assert_eq!(row["anomaly"], is_guess, "{row}");
        assert_eq!(row["score"].as_f64().unwrap() >= 0.8, is_guess, "{row}");
        assert_eq!(row.get("source_ip"), is_guess.then_some(&json!("203.0.113.9")), "{row}");
    }
    let life: String = (0..300).map(|n| format!("request {n} served in {} ms\n", n % 7)).collect();
    bench.write("normal.log", &life);
    bench.write("today.log", format!("{life}ERROR ring buffer of worker 3 is corrupt\n{life}"));
    let args = ["analyze", "--emit", "lines", "--message-only", "today.log"];
    let odd = |rows: &[Value]| -> Vec<u64> {
        rows.iter().filter(|row| row["anomaly"] == true).map(|row| row["line"].as_u64().unwrap()).collect()
    };
    assert_eq!(odd(&bench.rows(&[&args[..], &["--train", "normal.log"]].concat())), [301]);
}

#[test]
fn a_session_that_goes_another_way_is_told() {
    let bench = Bench::new();
    let session = |n: usize, steps: &[&str]| -> String {
        steps.iter().map(|step| format!("2026-11-21T10:00:00Z app[1]: req-{n:04} {step}\n")).collect()
    };
    let usual = ["accepted", "authorised", "stored", "answered"];
    bench.write("normal.log", (0..200).map(|n| session(n, &usual)).collect::<String>());
    let mut today: String = (200..260).map(|n| session(n, &usual)).collect();
    today += &session(777, &["accepted", "stored", "rolled back because the disk is gone"]);
    bench.write("today.log", today);
    let args =
        ["analyze", "--emit", "sessions", "--session-key", r"req-\d+", "--train", "normal.log", "today.log"];
    let rows = bench.rows(&args);
    assert_eq!(rows.len(), 61);
    let odd: Vec<_> = rows.iter().filter(|row| row["anomaly"] == true).map(|row| &row["id"]).collect();
    assert_eq!(odd, ["req-0777"]);
}

#[test]
fn folders_compressed_files_and_pipes_are_read() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("logs/old")).unwrap();
    let text = attacked();
    let (first, second) = text.split_at(text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1);
    bench.write("logs/old/auth.log.1.gz", gzip(first));
    bench.write("logs/auth.log.zst", zstd::encode_all(second.as_bytes(), 1).unwrap());
    bench.write("logs/wtmp", [0; 400]);
    let rows = bench.rows(&["analyze", "--format", "jsonl", "logs"]);
    let finding =
        rows.iter().find(|row| row["category"] == "brute_force").expect("one attack over two files");
    assert_eq!(finding["count"], 25);
    let files: BTreeSet<_> =
        finding["evidence"].as_array().unwrap().iter().map(|line| line["file"].as_str().unwrap()).collect();
    assert_eq!(files, BTreeSet::from(["logs/auth.log.zst", "logs/old/auth.log.1.gz"]));
    let args = ["analyze", "--format", "jsonl", "-"];
    for input in [text.clone().into_bytes(), gzip(&text)] {
        let (code, text) = bench.pipe(&args, &input);
        assert_eq!((code, objects(&text)[0]["count"].as_u64()), (0, Some(25)), "{text}");
    }
}

#[test]
fn the_journals_json_is_read_with_its_hosts_and_times() {
    let bench = Bench::new();
    let line = |n: u64| {
        json!({
            "__REALTIME_TIMESTAMP": (1_795_255_200_000_000 + n * 2_000_000).to_string(),
            "_HOSTNAME": "db-1", "SYSLOG_IDENTIFIER": "sshd", "_PID": "77",
            "MESSAGE": format!("Failed password for root from 198.51.100.7 port {} ssh2", 50_000 + n),
        })
        .to_string()
            + "\n"
    };
    let input: String = (0..20).map(line).collect();
    let (code, text) = bench.pipe(&["analyze", "--format", "jsonl", "-"], input.as_bytes());
    let finding = &objects(&text)[0];
    assert_eq!((code, &finding["hosts"]), (0, &json!(["db-1"])), "{text}");
    assert_eq!(finding["first_seen"], "2026-11-21T10:00:00Z");
    assert_eq!(finding["last_seen"], "2026-11-21T10:00:38Z");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_analysed() {
    let bench = Bench::new();
    bench.write("auth.log", attacked());
    bench.write("broken.gz", &gzip(&attacked().repeat(50))[..500]);
    let (code, text) = bench.run(&["analyze", "--format", "jsonl", "auth.log", "broken.gz"]);
    assert_eq!(code, 1);
    assert_eq!(objects(&text)[0]["category"], "brute_force");
    assert_eq!(bench.run(&["analyze", "nowhere.log"]).0, 1);
    assert_eq!(bench.run(&["analyze"]).0, 2);
    assert_eq!(bench.run(&["analyze", "--session-key", "(", "auth.log"]).0, 2);
    bench.write("bad.yaml", "analyze: {windov: 3s}\n");
    assert_eq!(bench.run(&["analyze", "--config", "bad.yaml", "auth.log"]).0, 64);
}

/// The most memory a process has had, in KB, as long as it lives.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn memory_is_bounded_whatever_the_size_of_files_and_lines() {
    let bench = Bench::new();
    let file = File::create(bench.path("big.log")).unwrap();
    let mut out = std::io::BufWriter::new(file);
    let block = [b'x'; 1 << 16];
    for _ in 0..3_000 {
        out.write_all(&block).unwrap(); // one line of 200 MB
    }
    out.write_all(b"\n").unwrap();
    for n in 0..40_000_u64 {
        let odd = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(out, "{odd:016x} {:08x}zz {:012x}-q word{:05x}", odd >> 7, odd << 3, odd >> 20).unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
    let mut child = bench
        .command(&["analyze", "--emit", "lines", "--format", "table", "big.log"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut most = 0;
    let status = wait_for("the analysis to end", Duration::from_secs(240), || {
        most = most.max(peak(&child).unwrap_or(0));
        child.try_wait().unwrap()
    });
    assert!(status.success());
    assert!((1..160_000).contains(&most), "{most} KB");
}

#[test]
fn ctrl_c_ends_the_reading_and_what_was_read_is_told() {
    let bench = Bench::new();
    let args = ["analyze", "--emit", "lines", "-"];
    let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than is looked ahead, so that some of it has been read when the signal comes.
    input.write_all(attacked().repeat(30).as_bytes()).unwrap();
    wait_for("the work to begin", Duration::from_secs(30), || {
        (fs::read_dir(bench.path("tmp")).unwrap().count() > 0).then_some(())
    });
    let kill = |signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    };
    kill("-INT");
    std::thread::sleep(Duration::from_millis(300));
    drop(input);
    let (code, text) = bench.ended(child.wait_with_output().unwrap());
    assert_eq!(code, 130);
    assert!(text.lines().count() <= 83 * 30);
}

#[test]
fn a_configured_model_is_asked_unless_it_is_not_wanted() {
    let bench = Bench::new();
    bench.write("auth.log", attacked());
    let model = FakeService::start(|_| {
        let text = json!({"claims": []}).to_string();
        Answer::json(&json!({
            "id": "c-1", "object": "chat.completion", "model": "fake-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 20, "total_tokens": 920},
        }))
    });
    let config = format!(
        "llm: {{provider: openai, base_url: \"{}\", model: fake-1, api_key: k-123, tries: 1, attempts: 1}}\n",
        model.url("/v1")
    );
    bench.write("sigyn.yaml", config);
    let args = ["analyze", "--config", "sigyn.yaml", "--format", "jsonl", "auth.log"];
    let without = bench.rows(&[&args[..], &["--no-llm"]].concat());
    assert_eq!(model.requests().len(), 0);
    let with = bench.rows(&args);
    assert!(!model.requests().is_empty());
    assert_eq!(with.len(), without.len());
}

#[test]
fn a_replay_tells_what_the_server_told_and_what_a_model_would_have_cost() {
    let mut server = TestServer::with_config("analyze: {window: 1s}\n");
    server.push(&story::labels(), &story::brute_force("203.0.113.9", true));
    let told = story::finding_about(&server, "203.0.113.9", &["auth_compromise"], Duration::from_secs(20));
    let data = server.data_dir.display().to_string();
    let bench = Bench::new();
    let args = ["replay", "--data-dir", &data, "--format", "json"];
    let replayed = |bench: &Bench| -> Value {
        let (code, text) = bench.run(&args);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let beside = replayed(&bench);
    let is_same = |finding: &&Value| finding["fingerprint"] == told["fingerprint"];
    let again = beside["findings"].as_array().unwrap().iter().find(is_same).expect("the same finding");
    assert_eq!((&again["title"], &again["severity"]), (&told["title"], &told["severity"]));
    let estimate = &beside["replay"]["estimate"];
    assert!(estimate["calls"].as_u64().unwrap() >= 1 && estimate["input_tokens"].as_u64().unwrap() > 500);
    assert_eq!(estimate["cost_micros"], Value::Null, "no model is configured");
    server.stop();
    let before = contents(&server.data_dir);
    let (code, table) = bench.run(&["replay", "--data-dir", &data, "--days", "1"]);
    assert_eq!(code, 0);
    assert!(table.contains("would have been asked about"), "{table}");
    assert_eq!(contents(&server.data_dir), before, "nothing is written");
    assert_eq!(bench.run(&["replay", "--data-dir", "nowhere"]).0, 1);
}

/// Size and bytes of the database in a folder.
fn contents(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("sigyn.db")).unwrap()
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    bench.write("auth.log", attacked().repeat(200));
    let mut child = bench.command(&["analyze", "--emit", "templates", "auth.log"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"line\":1,"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
