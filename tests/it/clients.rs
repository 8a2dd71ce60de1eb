//! Unmodified clients of Loki and OpenTelemetry in other languages push to the server. `.ci/run` installs them under `target/ci`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use crate::harness::{TestServer, skip, wait_for};

fn parts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/ci")
}

/// Runs a client's script; it must succeed, and its line must arrive.
#[track_caller]
fn check(server: &TestServer, output: &Output, line: &str) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wait_for(&format!("'{line}'"), Duration::from_secs(15), || {
        server.lines("{}").iter().any(|stored| stored.contains(line)).then_some(())
    });
}

/// Whether the client is there and its line arrived.
fn python(server: &TestServer, script: &str, line: &str) -> bool {
    let python = parts().join("venv/bin/python");
    if !python.exists() {
        skip("the Python clients are not installed");
        return false;
    }
    let address = format!("http://127.0.0.1:{}", server.port);
    let script = script.replace("URL", &format!("{address}/loki/api/v1/push")).replace("ADDRESS", &address);
    check(server, &Command::new(python).args(["-c", &script]).output().unwrap(), line);
    true
}

fn node(server: &TestServer, script: &str, line: &str) {
    let folder = parts().join("node");
    if !folder.join("node_modules").exists() {
        return skip("the Node clients are not installed");
    }
    let script = script.replace("URL", &format!("http://127.0.0.1:{}", server.port));
    // A file, not `-e`: pino looks for its transports relative to the script.
    let file = folder.join(format!("script-{}.cjs", server.port));
    fs::write(&file, script).unwrap();
    let output = Command::new("node").arg(&file).current_dir(folder).output().unwrap();
    fs::remove_file(&file).unwrap();
    check(server, &output, line);
}

#[test]
fn python_logging_loki_pushes() {
    let server = TestServer::start();
    let script = r#"
import logging, logging_loki
log = logging.getLogger("shop")
log.addHandler(logging_loki.LokiHandler(url="URL", tags={"app": "shop"}, version="1"))
log.error("payment of order 17 failed")
"#;
    python(&server, script, "payment of order 17 failed");
}

#[test]
fn loki_logger_handler_pushes_gzip() {
    let server = TestServer::start();
    let script = r#"
import logging, time
from loki_logger_handler.loki_logger_handler import LokiLoggerHandler
log = logging.getLogger("till")
log.addHandler(LokiLoggerHandler(url="URL", labels={"app": "till"}, timeout=1, compressed=True))
log.error("drawer 4 is stuck")
time.sleep(3)
"#;
    python(&server, script, "drawer 4 is stuck");
}

#[test]
fn the_opentelemetry_sdk_pushes_to_either_path() {
    let script = r#"
import logging
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
provider = LoggerProvider(resource=Resource.create({"service.name": "till", "host.name": "vps9"}))
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(EXPORTER)))
log = logging.getLogger("till")
log.addHandler(LoggingHandler(logger_provider=provider))
log.error("drawer %d does not close", 3, extra={"shop": {"city": "Ghent"}})
provider.shutdown()
"#;
    for exporter in
        [r#"endpoint="ADDRESS/otlp/v1/logs", compression=Compression.Gzip"#, r#"endpoint="ADDRESS/v1/logs""#]
    {
        let server = TestServer::start();
        if python(&server, &script.replace("EXPORTER", exporter), "drawer 3 does not close") {
            let entry = &server.entries(r#"{service_name="till", host_name="vps9"}"#)[0];
            assert_eq!(entry["metadata"]["shop_city"], "Ghent", "{entry}");
            assert_eq!(entry["metadata"]["severity_text"], "ERROR", "{entry}");
        }
    }
}

#[test]
fn winston_loki_pushes_json_and_protobuf() {
    for (json, line) in [(true, "winston speaks json"), (false, "winston speaks protobuf")] {
        let server = TestServer::start();
        let script = format!(
            r#"
const winston = require("winston"), LokiTransport = require("winston-loki");
const loki = new LokiTransport({{host: "URL", json: {json}, labels: {{job: "winston"}}, interval: 1}});
const log = winston.createLogger({{transports: [loki]}});
log.error("{line}");
setTimeout(() => loki.flush().then(() => process.exit(0)), 500);
"#
        );
        node(&server, &script, line);
    }
}

#[test]
fn pino_loki_pushes() {
    let server = TestServer::start();
    let script = r#"
const pino = require("pino");
const transport = pino.transport({target: "pino-loki", options: {host: "URL", batching: false, labels: {app: "pino"}}});
pino(transport).error("pino was here");
setTimeout(() => process.exit(0), 2000);
"#;
    node(&server, script, "pino was here");
}
