//! Authentication: every request gets a [`Caller`](super::caller::Caller) or an answer 401, 403 or 400.

mod settings;

pub use settings::{Secret, Settings, Tenants, Token};
