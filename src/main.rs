//! The `sigyn` program: see `sigyn::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sigyn::cli::main()
}
