//! The signed webhook, checked by another implementation of Standard Webhooks. `.ci/run` installs it.

use std::{path::PathBuf, process::Command, sync::Mutex};

use crate::harness::{Answer, FakeService, fake::Recorded, skip};

use super::{HOSTILE, stdout, test_alert};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Says whether the body of a recorded request is signed with a secret.
const VERIFIER: &str = r#"
import sys
from standardwebhooks.webhooks import Webhook
secret, id, time, signature, file = sys.argv[1:]
headers = {"webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature}
Webhook(secret).verify(open(file, "rb").read(), headers)
"#;

pub fn python() -> Option<PathBuf> {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/ci/venv/bin/python");
    let has =
        |python: &PathBuf| Command::new(python).args(["-c", "import aiosmtpd, standardwebhooks"]).output();
    if python.exists() && has(&python).is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip("the mail server and the verifier are not installed");
    None
}

fn is_signed(python: &PathBuf, secret: &str, request: &Recorded, body: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let header = |name: &str| request.header(name).unwrap_or_default();
    let mut command = Command::new(python);
    command.args([
        "-c",
        VERIFIER,
        secret,
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ]);
    command.arg(file.path()).output().unwrap().status.success()
}

#[test]
fn another_implementation_verifies_the_signature_under_both_keys() {
    let Some(python) = python() else { return };
    let service = FakeService::start(|_| Answer::status(204));
    let config = format!(
        "channels: [{{type: webhook, url: '{}', secret: {SECRET}, previous_secret: '{OLD_SECRET}'}}]",
        service.url("/hook?token=hooktoken0123456789")
    );
    let output = test_alert(&config, &["--line", HOSTILE]);
    assert!(
        output.status.success() && stdout(&output).starts_with("webhook  delivered"),
        "{}",
        stdout(&output)
    );
    let request = service.requests().remove(0);
    for secret in [SECRET, OLD_SECRET] {
        assert!(is_signed(&python, secret, &request, &request.body));
    }
    assert!(!is_signed(&python, SECRET, &request, b"{}"), "the verifier takes anything");
    assert!(!is_signed(&python, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &request, &request.body));
    let body = request.json();
    assert_eq!((&body["type"], &body["data"]["lines_left_out"]), (&"test".into(), &0.into()));
    assert!(body["timestamp"].as_str().unwrap().parse::<sigyn::model::Timestamp>().is_ok());
}

#[test]
fn a_redirect_is_not_followed_and_no_key_shows() {
    static SEEN: Mutex<u32> = Mutex::new(0);
    let service = FakeService::start(|_| {
        *SEEN.lock().unwrap() += 1;
        Answer { headers: vec![("Location", "/elsewhere".to_owned())], ..Answer::status(307) }
    });
    let config = format!(
        "channels: [{{type: webhook, url: '{}', secret: {SECRET}}}]",
        service.url("/hooktoken0123456789")
    );
    let output = test_alert(&config, &[]);
    let said = stdout(&output);
    assert!(said.contains("the channel does not work: status 307: redirects are not followed"), "{said}");
    assert!(!said.contains("hooktoken0123456789") && !said.contains(SECRET));
    assert_eq!(*SEEN.lock().unwrap(), 1);
}

#[test]
fn an_own_body_is_sent_as_it_was_written() {
    let service = FakeService::start(|_| Answer::status(200));
    let config = format!(
        "channels: [{{type: webhook, url: '{}', headers: {{X-Team: ops}}, body: '{{\"text\": \"{{title}}: {{evidence}}\", \"n\": {{count}}}}'}}]",
        service.url("/hook")
    );
    let output = test_alert(&config, &["--line", "say \"hi\" \\ {title}"]);
    assert!(output.status.success(), "{}", stdout(&output));
    let request = &service.requests()[0];
    let expected = serde_json::json!({"text": "Sigyn can reach you here: say \"hi\" \\ {title}", "n": 1});
    assert_eq!((request.json(), request.header("x-team")), (expected, Some("ops")));
    assert_eq!(request.header("webhook-signature"), None);
}
