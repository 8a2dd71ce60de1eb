//! The HTTP door: push in Loki's shape, everything else as our own JSON API.

pub mod auth;
pub mod caller;
