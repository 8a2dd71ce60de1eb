//! Integration tests: the real binary over real sockets, and the shape of the source tree.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod analyze;
mod auth;
mod channels;
mod clients;
mod contract;
mod crash;
mod demo;
mod detect;
mod disk;
mod docs;
mod floors;
mod forward;
mod forward_engine;
mod harness;
mod hostile;
mod incident;
mod llm;
mod metrics;
mod otlp;
mod overload;
mod push;
mod real_model;
mod round_trip;
mod story;
mod tls;
