//! Bytes ⇄ wire values. Pure: no I/O, no clock; bounded before it allocates; never panics on any input.

pub mod envelope;
