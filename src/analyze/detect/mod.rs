//! Detectors: learn what is normal, say what is not. No model, no store; bounded and deterministic.

pub mod pack;
pub mod sequence;
