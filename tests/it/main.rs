//! Integration tests: the real binary over real sockets, and the shape of the source tree.

mod floors;
mod forward_engine;
mod harness;
