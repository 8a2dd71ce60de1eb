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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_changed_file_is_loaded_and_a_bad_one_leaves_the_certificate_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut certificates = Certificates::load(TlsSettings::new(&cert, &key)).unwrap();
        let first = certificates.current.load_full();
        // The times of the file system are coarse: two writes may bear the same one.
        let written = fs::metadata(&cert).unwrap().modified().unwrap();
        let write = |text: &str, seconds| {
            fs::write(&cert, text).unwrap();
            let file = fs::File::options().write(true).open(&cert).unwrap();
            file.set_modified(written + Duration::from_secs(seconds)).unwrap();
        };

        certificates.refresh();
        assert!(Arc::ptr_eq(&first, &certificates.current.load_full()), "nothing has changed");
        write("half written", 1);
        certificates.refresh();
        assert!(Arc::ptr_eq(&first, &certificates.current.load_full()), "the file is no certificate");
        write(&made.cert.pem(), 2);
        certificates.refresh();
        assert!(!Arc::ptr_eq(&first, &certificates.current.load_full()));
    }
}
