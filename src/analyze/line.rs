//! One line as the analysis sees it.

use crate::{
    model::{Labels, LineRef, TemplateId, Timestamp},
    wire::{envelope::Envelope, level::Level},
};

/// A line with everything the engines want to know of it, borrowed from its block.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// Its name in the store.
    pub at: LineRef,
    /// Its stream's labels.
    pub labels: &'a Labels,
    /// The host it speaks of (label, or the syslog header's).
    pub host: &'a str,
    /// The sender's time.
    pub timestamp: Timestamp,
    /// How serious the metadata sent along with it says it is.
    pub level: Level,
    /// The line as received.
    pub raw: &'a [u8],
    /// The line without its wrappers.
    pub envelope: &'a Envelope<'a>,
    /// The mined template, if the line was mined.
    pub template: Option<TemplateId>,
}
