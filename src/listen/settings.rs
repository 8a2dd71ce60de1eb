//! What the operator may set about the HTTP socket, and the rule that an open door needs a lock.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// What the operator may set about the HTTP socket.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address and port. Loopback unless told otherwise; 3100 is Loki's port.
    pub addr: SocketAddr,
    /// Connections served at one time; more wait in the system's queue.
    pub max_connections: usize,
    /// A TLS handshake, and then the head of each request, must arrive within this time.
    pub header_timeout: Duration,
    /// The body of a request must arrive within this time.
    pub body_timeout: Duration,
    /// A client that reads nothing of its answer for this long is cut off.
    pub write_timeout: Duration,
    /// A connection without a request is closed after this time. Promtail keeps its connection for 5 minutes.
    pub idle_timeout: Duration,
    /// Largest head of a request.
    pub max_header_bytes: usize,
    /// How long running requests may go on after the stop.
    pub drain_timeout: Duration,
    /// Certificates; plain HTTP without.
    pub tls: Option<TlsSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 3100)),
            max_connections: 1_024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(6 * 60),
            max_header_bytes: 64 * 1024,
            drain_timeout: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// Certificate files in PEM, read again when they change.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificate chain.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// When set, clients must show a certificate signed by one of these.
    pub client_ca_file: Option<PathBuf>,
    /// How often the files are looked at for changes.
    pub reload_every: Duration,
}

impl TlsSettings {
    /// Takes the two files every server needs.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        TlsSettings {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            client_ca_file: None,
            reload_every: Duration::from_secs(30),
        }
    }
}

/// Everybody who reaches the address could read and write all logs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("refusing to listen on {0} without authentication: set tokens, or give --insecure-no-auth")]
pub struct Exposed(pub SocketAddr);

/// Refuses an address other machines can reach unless callers must authenticate or the operator insists.
pub fn check_exposure(addr: SocketAddr, auth_is_on: bool, is_insecure_allowed: bool) -> Result<(), Exposed> {
    if addr.ip().to_canonical().is_loopback() || auth_is_on || is_insecure_allowed {
        Ok(())
    } else {
        Err(Exposed(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_be_open() {
        let open = |addr: &str| check_exposure(addr.parse().unwrap(), false, false).is_ok();
        assert!(open("127.0.0.1:3100") && open("[::1]:3100") && open("[::ffff:127.0.0.1]:3100"));
        assert!(!open("0.0.0.0:3100") && !open("192.168.1.5:3100") && !open("[::]:3100"));
        let anywhere = "0.0.0.0:3100".parse().unwrap();
        assert!(
            check_exposure(anywhere, true, false).is_ok() && check_exposure(anywhere, false, true).is_ok()
        );
    }
}
