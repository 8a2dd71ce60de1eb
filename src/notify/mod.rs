//! Telling people: one folder per service.
//!
//! In: a [`Message`], whose log text is redacted. Out: what the service said to it, as an [`Outcome`]. Rendering and
//! judging answers are pure; requests go out by `net` and `email` alone. Log text is data: it never becomes markup, a
//! mention or a header, and no secret is in any text that comes out.

pub mod alertmanager;
pub mod apprise;
mod channel;
pub mod dingtalk;
pub mod discord;
pub mod email;
pub mod feishu;
pub mod gotify;
mod http;
mod message;
pub mod ntfy;
mod outcome;
mod outline;
pub mod pagerduty;
pub mod pushover;
mod service;
mod sign;
pub mod slack;
pub mod teams;
pub mod telegram;
mod template;
mod text;
pub mod webhook;
pub mod wecom;
mod wording;

pub use channel::{Channel, Limits, Settings};
pub use message::{DedupKey, EVIDENCE_MAX, Item, Kind, Message};
pub use outcome::{Fault, Outcome, Receipt};
pub use service::Service;
pub use template::{Template, UnknownPlaceholder};
pub use wording::{Language, Link};
