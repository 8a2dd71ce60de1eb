//! Findings handed to a real Alertmanager: they fire there, and end when they are resolved. `.ci/run` installs it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use sigyn::{
    notify::{Channel, Kind, Service, Settings, alertmanager},
    runtime::Clock,
};

use crate::harness::{send as http, skip, wait_for};

use super::{HOSTILE, message, receipt, send};

const PROGRAM: &str = "prometheus-alertmanager";

struct Alertmanager {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config.file={}", config.display())).arg("--cluster.listen-address=");
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            skip("prometheus-alertmanager is not installed");
            return None;
        };
        let server = Alertmanager { child, port, _folder: folder };
        wait_for("the Alertmanager", Duration::from_secs(60), || {
            http(port, "GET", "/-/ready", &[], b"").ok().filter(|response| response.status == 200)
        });
        Some(server)
    }

    /// The alerts that fire.
    fn alerts(&self) -> Vec<Value> {
        let response = http(self.port, "GET", "/api/v2/alerts", &[], b"").unwrap();
        response.json().as_array().unwrap().clone()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_alertmanager_lets_findings_fire_and_end() {
    let Some(server) = Alertmanager::start() else { return };
    let url = format!("http://127.0.0.1:{}", server.port);
    let hold = Duration::from_secs(600);
    let service = Service::Alertmanager(alertmanager::Settings { url, basic: None, token: None, hold });
    let channel = Channel::new(Settings::new("am", service), Clock::system());
    let first = receipt(send(&channel, &message(Kind::First, HOSTILE), None));
    let alerts = server.alerts();
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        (&alerts[0]["labels"]["severity"], &alerts[0]["labels"]["tenant"]),
        (&"high".into(), &"fake".into())
    );
    assert!(alerts[0]["annotations"]["summary"].as_str().unwrap().starts_with("[HIGH] @\u{200b}everyone"));
    // Told again, it is the same alert.
    let again = receipt(send(&channel, &message(Kind::More, "other words"), Some(&first)));
    assert_eq!(server.alerts().len(), 1);
    receipt(send(&channel, &message(Kind::Resolved, HOSTILE), Some(&again)));
    wait_for("the end of the alert", Duration::from_secs(30), || server.alerts().is_empty().then_some(()));
}
