//! Sessions as a whole.
