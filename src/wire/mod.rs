//! Bytes ⇄ wire values. Pure: no I/O, no clock; bounded before it allocates; never panics on any input.

pub mod envelope;
pub mod labels;
pub mod level;
pub mod push;

mod json;
mod protobuf;
mod unpack;
