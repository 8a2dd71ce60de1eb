//! The server as a child process in a temporary folder.

use std::{
    fs::File,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Response, now_nanos, send, wait_for};

/// How long a start may take, with the machine busy and the binary not optimised.
const START: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub address: &'static str,
    /// The configuration file's text, if any.
    pub config: Option<String>,
    /// Environment of the child, beside a cleared one.
    pub env: Vec<(String, String)>,
    /// Further arguments.
    pub args: Vec<String>,
    /// The data folder, if not in the temporary one.
    pub data_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options { address: "127.0.0.1", config: None, env: Vec::new(), args: Vec::new(), data_dir: None }
    }
}

/// The running server. Dropping it kills it.
pub struct TestServer {
    pub port: u16,
    pub data_dir: PathBuf,
    options: Options,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl TestServer {
    /// Starts with nothing but a folder and a port.
    pub fn start() -> Self {
        TestServer::with(Options::default())
    }

    /// Starts with a configuration file.
    pub fn with_config(config: impl Into<String>) -> Self {
        TestServer::with(Options { config: Some(config.into()), ..Options::default() })
    }

    /// Starts and waits until the server is ready.
    pub fn with(options: Options) -> Self {
        let mut server = TestServer::prepare(options);
        server.restart();
        server
    }

    /// Chooses folder and port without starting.
    pub fn prepare(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = options.data_dir.clone().unwrap_or_else(|| folder.path().join("data"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        TestServer { port, data_dir, options, folder, child: None }
    }

    /// Starts again on the same port and folder.
    pub fn restart(&mut self) {
        self.spawn();
        wait_for("the server to be ready", START, || {
            let exited = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(exited.is_none(), "the server ended ({exited:?}):\n{}", self.log());
            send(self.port, "GET", "/ready", &[], b"").ok().filter(|response| response.status == 200)
        });
    }

    /// Starts and waits for the end: for starts that must fail.
    pub fn run_to_end(&mut self) -> ExitStatus {
        self.spawn();
        self.wait_exit()
    }

    /// Starts without waiting for anything.
    pub fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigyn"));
        command.arg("serve").arg("--listen").arg(format!("{}:{}", self.options.address, self.port));
        command.arg("--data-dir").arg(&self.data_dir);
        if let Some(config) = &self.options.config {
            let path = self.folder.path().join("sigyn.yaml");
            std::fs::write(&path, config).unwrap();
            command.arg("--config").arg(path);
        }
        command.args(&self.options.args).env_clear().envs(self.options.env.iter().cloned());
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What the server has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Ends the server at once, as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The most memory the server has held so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Asks the server to stop.
    pub fn terminate(&self) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for the end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let ended = wait_for("the server to end", START, || child.try_wait().unwrap());
        assert!(!self.log().contains("panicked at"), "{}", self.log());
        ended
    }

    /// Stops in order.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait_exit()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        send(self.port, "GET", path, &[], b"").unwrap()
    }

    /// The JSON answer of a path that must exist.
    #[track_caller]
    pub fn get_json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    /// Pushes JSON in Loki's shape.
    pub fn push_json(&self, body: &Value) -> std::io::Result<Response> {
        let headers = [("Content-Type", "application/json")];
        send(self.port, "POST", "/loki/api/v1/push", &headers, body.to_string().as_bytes())
    }

    /// Pushes lines of one stream, a microsecond apart, all in the past; they must be taken.
    #[track_caller]
    pub fn push(&self, labels: &Value, lines: &[impl AsRef<str>]) {
        let response = self.push_json(&stream(labels, lines)).unwrap();
        assert_eq!(response.status, 204, "{}", response.text());
    }

    /// The stored lines a selector names, oldest first, whatever their age.
    #[track_caller]
    pub fn entries(&self, selector: &str) -> Vec<Value> {
        let path =
            format!("/api/v1/entries?selector={}&from=0&limit=5000&direction=forward", escape(selector));
        let answer = self.get_json(&path);
        assert_eq!(answer["is_cut"], false, "more than one answer holds");
        answer["entries"].as_array().unwrap().clone()
    }

    /// The texts of `entries`.
    #[track_caller]
    pub fn lines(&self, selector: &str) -> Vec<String> {
        self.entries(selector).iter().map(|entry| entry["line"].as_str().unwrap().to_owned()).collect()
    }

    /// The stored findings.
    #[track_caller]
    pub fn findings(&self) -> Vec<Value> {
        self.get_json("/api/v1/findings")["findings"].as_array().expect("a list of findings").clone()
    }

    /// A metric's samples added up; `selection` is a part of the sample's name and labels.
    pub fn metric(&self, selection: &str) -> u64 {
        let text = self.get("/metrics").text();
        let samples = text.lines().filter(|line| !line.starts_with('#') && line.contains(selection));
        samples
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .map(|value| value as u64)
            .sum()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- the server's output ---\n{}", self.log());
        }
    }
}

/// One stream in Loki's JSON.
pub fn stream(labels: &Value, lines: &[impl AsRef<str>]) -> Value {
    let first = now_nanos() - 1_000_000_000 - lines.len() as u64 * 1_000;
    let values: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| json!([(first + at as u64 * 1_000).to_string(), line.as_ref()]))
        .collect();
    json!({"streams": [{"stream": labels, "values": values}]})
}

/// Percent-encodes a query value.
pub fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
