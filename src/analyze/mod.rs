//! Analysis on flush: blocks become windows, windows become findings.
//!
//! `step` follows the intake log: every line is unwrapped, mined and sifted into the open window of its group; a due
//! window is judged and written with its position in one transaction. `explain` follows the windows that wait for a
//! model: ask, ground, judge again. A slow model therefore never holds back the lines.

pub mod ask;
pub mod detect;
pub mod digest;
pub mod exhibit;
pub mod explain;
pub mod ground;
pub mod line;
pub mod mine;
pub mod sift;
pub mod step;
pub mod window;

mod commit;
mod group;
mod settings;

pub use settings::Settings;
