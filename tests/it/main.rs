//! Integration tests: the real binary over real sockets, and the shape of the source tree.

mod auth;
mod clients;
mod crash;
mod disk;
mod floors;
mod forward;
mod forward_engine;
mod harness;
mod metrics;
mod overload;
mod push;
mod story;
