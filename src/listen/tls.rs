//! Certificates: read from files, read again when a file changes. A bad new file keeps the old certificate in use.

use std::{fs, io, path::Path, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use super::TlsSettings;

/// A certificate file is unusable.
#[derive(Debug, thiserror::Error)]
#[error("TLS file '{file}': {cause}")]
pub struct BadCertificate {
    file: String,
    cause: String,
}

/// The current certificate.
pub(super) struct Certificates {
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
    /// When the files in use were written.
    written: Vec<Option<SystemTime>>,
}

impl Certificates {
    pub fn load(settings: TlsSettings) -> Result<Self, BadCertificate> {
        let written = written(&settings);
        let current = ArcSwap::from_pointee(read(&settings)?);
        Ok(Certificates { settings, current, written })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again if one of them was written since.
    pub fn refresh(&mut self) {
        let written = written(&self.settings);
        if written == self.written {
            return;
        }
        self.written = written;
        match read(&self.settings) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                tracing::info!("TLS certificate loaded again");
            }
            Err(error) => tracing::error!(%error, "keeping the old TLS certificate"),
        }
    }
}

fn files(settings: &TlsSettings) -> impl Iterator<Item = &Path> {
    [Some(&settings.cert_file), Some(&settings.key_file), settings.client_ca_file.as_ref()]
        .into_iter()
        .flatten()
        .map(AsRef::as_ref)
}

fn written(settings: &TlsSettings) -> Vec<Option<SystemTime>> {
    files(settings).map(|file| fs::metadata(file).and_then(|meta| meta.modified()).ok()).collect()
}

fn read(settings: &TlsSettings) -> Result<ServerConfig, BadCertificate> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let bad = |file: &Path, cause: String| BadCertificate { file: file.display().to_string(), cause };
    let chain = certificates(&settings.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key_file)
        .map_err(|error| bad(&settings.key_file, error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&settings.cert_file, error.to_string()))?;
    let builder = match &settings.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| bad(file, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| bad(file, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| bad(&settings.cert_file, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let bad = |cause: String| BadCertificate { file: file.display().to_string(), cause };
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad(error.to_string()))?;
    if found.is_empty() {
        return Err(bad(io::Error::from(io::ErrorKind::InvalidData).to_string()));
    }
    Ok(found)
}
