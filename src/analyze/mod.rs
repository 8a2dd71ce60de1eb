//! Analysis on flush: blocks become windows, windows become findings.
//!
//! `engine` takes lines: each is unwrapped, mined, sifted and shown to the detectors in the open window of its group; a
//! window that ends is judged. It knows no store, so the server and the commands over files run the same one. `step`
//! drives it along the intake log and writes each result with its position in one transaction. `explain` follows the
//! windows that wait for a model: ask, ground, judge again. A slow model therefore never holds back the lines.

pub mod ask;
pub mod context;
pub mod detect;
pub mod digest;
pub mod engine;
pub mod exhibit;
pub mod explain;
pub mod ground;
pub mod knowledge;
pub mod line;
pub mod mine;
pub mod review;
pub mod sift;
pub mod step;
pub mod taught;
pub mod window;

mod commit;
mod group;
mod judge;
mod quiet;
mod settings;

pub use settings::Settings;
