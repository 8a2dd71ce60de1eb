//! The `sigyn` program: see `sigyn::cli`.

fn main() {}
