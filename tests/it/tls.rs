//! TLS on both sides of the real binary: its own listener, whose certificate is exchanged while it runs, and an
//! upstream behind a private authority.

use std::{
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
};
use rustls_pki_types::{PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::json;

use crate::harness::{
    Response, TestServer,
    fake::Recorded,
    http::{read_head, read_response},
    server::Options,
    wait_for,
};

/// A private authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for loopback, in PEM; `name` tells certificates apart.
    pub fn sign(&self, name: &str) -> (String, String) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), name.to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

/// One GET over TLS, trusting only `authority`, of a server that must be called `name`.
fn get(port: u16, authority: &Authority, name: &str, path: &str) -> std::io::Result<Response> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    read_response(&mut BufReader::new(stream))
}

#[test]
fn the_listener_speaks_tls_and_takes_a_new_certificate_while_it_runs() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let write = |name: &str| {
        let (certificate, secret) = authority.sign(name);
        std::fs::write(&key, secret).unwrap();
        std::fs::write(&cert, certificate).unwrap();
    };
    write("first.test");
    let config = format!(
        "listen: {{tls: {{cert_file: \"{}\", key_file: \"{}\", reload_every: 100ms}}}}\n",
        cert.display(),
        key.display()
    );
    let mut server = TestServer::prepare(Options { config: Some(config), ..Options::default() });
    server.spawn();
    let answers = |name: &str| get(server.port, &authority, name, "/ready").ok().filter(|r| r.status == 200);
    wait_for("the server to be ready", Duration::from_secs(60), || answers("first.test"));
    assert!(answers("second.test").is_none(), "the certificate does not name it");
    assert!(crate::harness::send(server.port, "GET", "/ready", &[], b"").is_err(), "no plain HTTP");
    write("second.test");
    wait_for("the new certificate", Duration::from_secs(60), || answers("second.test"));
    std::fs::write(&cert, "not a certificate").unwrap();
    wait_for("the complaint", Duration::from_secs(60), || {
        server.log().contains("keeping the old TLS certificate").then_some(())
    });
    assert!(answers("second.test").is_some(), "a bad file changes nothing");
}

/// Takes one request over TLS and answers 204; connections that fail before are ignored.
fn take_one(listener: &TcpListener, config: &Arc<ServerConfig>) -> Recorded {
    for socket in listener.incoming() {
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut reader = BufReader::new(StreamOwned::new(connection, socket.unwrap()));
        let Ok((_, headers)) = read_head(&mut reader) else { continue };
        let mut request = Recorded { method: String::new(), path: String::new(), headers, body: Vec::new() };
        let length = request.header("content-length").unwrap().parse().unwrap();
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        return request;
    }
    panic!("the socket was closed")
}

fn upstream_config(authority: &Authority) -> Arc<ServerConfig> {
    let (certificate, key) = authority.sign("loki.test");
    let chain = rustls_pki_types::CertificateDer::pem_slice_iter(certificate.as_bytes());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

fn forwarding(port: u16, ca_file: Option<&Path>) -> TestServer {
    let ca_file = ca_file.map_or_else(String::new, |path| format!(", ca_file: \"{}\"", path.display()));
    TestServer::with_config(format!(
        "forward: {{url: \"https://127.0.0.1:{port}/loki/api/v1/push\", user: promtail, password: open sesame, \
         min_backoff: 20ms, max_backoff: 200ms{ca_file}}}\n"
    ))
}

#[test]
fn an_upstream_behind_tls_is_reached_with_its_authority_and_basic_authentication() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.0.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = upstream_config(&authority);
    let upstream = std::thread::spawn(move || take_one(&listener, &config));

    let stranger = forwarding(port, None);
    stranger.push(&json!({"job": "secret"}), &["not for strangers"]);
    wait_for("a retry", Duration::from_secs(60), || {
        (stranger.metric("sigyn_forward_retries_total") > 0).then_some(())
    });
    assert!(!upstream.is_finished(), "nothing is sent to a server nobody vouches for");
    drop(stranger);

    let server = forwarding(port, Some(&ca_file));
    server.push(&json!({"job": "secret"}), &["for the upstream"]);
    let request = upstream.join().unwrap();
    // promtail:open sesame
    assert_eq!(request.header("authorization"), Some("Basic cHJvbXRhaWw6b3BlbiBzZXNhbWU="));
    let push = crate::harness::fake::decode_push(&request.body);
    assert_eq!(push.streams[0].entries[0].line.as_ref(), b"for the upstream");
    wait_for("the entry to be counted", Duration::from_secs(60), || {
        (server.metric("sigyn_forward_entries_total") == 1).then_some(())
    });
}
