//! Bytes ⇄ wire values. Pure: no I/O, no clock; bounded before it allocates; never panics on any input.

pub mod encode;
pub mod envelope;
pub mod labels;
pub mod level;
pub mod lines;
pub mod name;
pub mod otlp;
pub mod push;
pub mod stamp;

mod json;
mod protobuf;
mod unpack;

/// The generated message types.
mod logproto {
    include!(concat!(env!("OUT_DIR"), "/logproto.rs"));
}
