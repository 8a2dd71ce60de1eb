//! The words of the product: one value type with its invariants per file. No I/O, no async, no clock.

mod batch;
mod budget;
mod category;
mod finding;
mod labels;
mod line;
mod note;
mod selector;
mod severity;
mod tenant;
mod time;
mod window;

pub use batch::{Entry, Metadata, PushBatch, StreamBatch};
pub use budget::Budget;
pub use category::Category;
pub use finding::{EvidenceLine, Finding, FindingDraft, FindingId, FindingStatus, FindingWindow, Origin};
pub use labels::{DuplicateLabel, LabelPairs, Labels};
pub use line::{LineRef, StreamId, TemplateId};
pub use note::{BadNote, NOTE_BODY_MAX, Note, NoteDraft, NoteRef, NoteSection};
pub use selector::{Selector, SelectorError};
pub use severity::Severity;
pub use tenant::{BadTenant, TenantId};
pub use time::{BadTime, Timestamp};
pub use window::{ModelUse, WindowId, WindowRecord, WindowState};
