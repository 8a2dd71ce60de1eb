//! The HTTP socket: bound early, served late, with a cap or a timeout on everything a client could hold on to.

mod settings;

pub use settings::{Exposed, Settings, TlsSettings, check_exposure};
