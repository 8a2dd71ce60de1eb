//! `listen`: the HTTP socket.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Size, Span},
    listen::{Settings, TlsSettings, check_exposure},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    address: Option<String>,
    max_connections: Option<u64>,
    header_timeout: Option<Span>,
    body_timeout: Option<Span>,
    write_timeout: Option<Span>,
    idle_timeout: Option<Span>,
    max_header_bytes: Option<Size>,
    drain_timeout: Option<Span>,
    tls: RawTls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTls {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    reload_every: Option<Span>,
}

pub(super) fn fill(raw: Raw, is_locked: bool, context: &mut Context<'_>) -> Settings {
    let mut settings = Settings::default();
    if let Some(address) = raw.address {
        match address.parse() {
            Ok(addr) => settings.addr = addr,
            Err(_) => context.wrong(
                "listen.address",
                format!("not an address with a port: '{address}'"),
                "write 127.0.0.1:3100 or [::1]:3100",
            ),
        }
    }
    if check_exposure(settings.addr, is_locked, false).is_err() {
        context.wrong(
            "listen.address",
            format!("{} can be reached by other machines, and nobody has to authenticate", settings.addr),
            "set auth.tokens, listen on 127.0.0.1, or give --insecure-no-auth",
        );
    }
    if let Some(connections) = raw.max_connections {
        context.positive("listen.max_connections", connections);
        settings.max_connections = usize::try_from(connections).unwrap_or(usize::MAX);
    }
    put(&mut settings.header_timeout, raw.header_timeout);
    put(&mut settings.body_timeout, raw.body_timeout);
    put(&mut settings.write_timeout, raw.write_timeout);
    put(&mut settings.idle_timeout, raw.idle_timeout);
    put(&mut settings.max_header_bytes, raw.max_header_bytes);
    put(&mut settings.drain_timeout, raw.drain_timeout);
    settings.tls = tls(raw.tls, context);
    settings
}

fn tls(raw: RawTls, context: &mut Context<'_>) -> Option<TlsSettings> {
    let (cert, key) = match (raw.cert_file, raw.key_file) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => {
            if raw.client_ca_file.is_some() {
                context.wrong("listen.tls.client_ca_file", "needs TLS", "set cert_file and key_file as well");
            }
            return None;
        }
        (Some(_), None) => {
            context.wrong("listen.tls.cert_file", "has no key", "set listen.tls.key_file as well");
            return None;
        }
        (None, Some(_)) => {
            context.wrong("listen.tls.key_file", "has no certificate", "set listen.tls.cert_file as well");
            return None;
        }
    };
    for (name, path) in [("cert_file", &cert), ("key_file", &key)] {
        if let Err(error) = std::fs::File::open(path) {
            let problem = format!("cannot read {}: {error}", path.display());
            context.wrong(&format!("listen.tls.{name}"), problem, "check path and rights");
        }
    }
    let mut settings = TlsSettings::new(cert, key);
    settings.client_ca_file = raw.client_ca_file;
    put(&mut settings.reload_every, raw.reload_every);
    Some(settings)
}
