//! The HTTP socket: bound early, served late, with a cap or a timeout on everything a client could hold on to.

mod body;
mod patience;
mod server;
mod settings;
mod tls;

pub use server::{BindError, Bound, bind};
pub use settings::{Exposed, Settings, TlsSettings, check_exposure};
pub use tls::BadCertificate;
