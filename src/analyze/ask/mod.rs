//! Turns an exhibit into a question and an answer into claims.

mod family;

pub use family::Family;
