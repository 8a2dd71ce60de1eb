//! Compiles the protocol definitions in `proto/` without needing `protoc` on the machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let files = protox::compile(["proto/logproto.proto"], ["proto"])?;
    prost_build::Config::new()
        // Lines, labels and metadata may be invalid UTF-8 on the wire; `Bytes` also avoids a copy per line.
        .bytes(["."])
        .compile_fds(files)?;
    Ok(())
}
