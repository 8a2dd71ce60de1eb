//! Compiles the protocol definitions in `proto/` without needing `protoc` on the machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let files = protox::compile(["proto/logproto.proto", "proto/otlp.proto"], ["proto"])?;
    let mut config = prost_build::Config::new();
    for outer in ["ExportLogsServiceRequest", "ResourceLogs", "ScopeLogs"] {
        // Walked by hand, so that one record at a time is in memory; only tests write them.
        config.message_attribute(format!("otlp.{outer}"), "#[cfg(test)]");
    }
    config
        // Lines, labels and metadata may be invalid UTF-8 on the wire; `Bytes` also avoids a copy per line.
        .bytes(["."])
        .compile_fds(files)?;
    Ok(())
}
