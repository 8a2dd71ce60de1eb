//! The words of the product: one value type with its invariants per file. No I/O, no async, no clock.

mod batch;
mod budget;
mod category;
mod delivery;
mod finding;
mod incident;
mod labels;
mod learning;
mod line;
mod note;
mod selector;
mod severity;
mod teach;
mod tenant;
mod time;
mod window;

pub use batch::{Entry, Metadata, PushBatch, StreamBatch};
pub use budget::Budget;
pub use category::Category;
pub use delivery::{AlertReason, Delivery, DeliveryState};
pub use finding::{EvidenceLine, Finding, FindingDraft, FindingId, FindingStatus, FindingWindow, Origin};
pub use incident::{AuditEntry, Incident, IncidentId, Role, TimelineEntry};
pub use labels::{DuplicateLabel, LabelPairs, Labels};
pub use learning::Learning;
pub use line::{LineRef, StreamId, TemplateId};
pub use note::{BadNote, NOTE_BODY_MAX, Note, NoteDraft, NoteId, NoteRef, NoteSection};
pub use selector::{Selector, SelectorError};
pub use severity::Severity;
pub use teach::{Feedback, MAINTENANCE_MAX, Maintenance, Normal, Weekday, Weekly};
pub use tenant::{BadTenant, TenantId};
pub use time::{BadTime, Timestamp};
pub use window::{ModelUse, WindowId, WindowRecord, WindowState};
