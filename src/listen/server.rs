//! The accept loop: one task per connection, each bounded in time and number, all ended in order.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    BadCertificate, Settings,
    body::{TimedBody, keep},
    patience::{Activity, Patient},
    tls::Certificates,
};
use crate::telemetry::HttpMetrics;

/// After a failed accept (mostly: no file descriptors left) the loop rests instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Streams of one HTTP/2 connection.
const HTTP2_MAX_STREAMS: u32 = 64;

/// A silent HTTP/2 connection is asked this often whether anybody is there.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is in use, or not ours.
    #[error("cannot listen on {addr}: {cause}")]
    Address {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The certificate files are unusable.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// A socket that is open but not served yet: mistakes show before anything is started.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    certificates: Option<Certificates>,
    settings: Settings,
}

/// Opens the socket and reads the certificates.
pub async fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let certificates = settings.tls.clone().map(Certificates::load).transpose()?;
    let failed = |cause| BindError::Address { addr: settings.addr, cause };
    let listener = TcpListener::bind(settings.addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, addr, certificates, settings: settings.clone() })
}

impl Bound {
    /// The address, with the port the system chose for port 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop`, then lets running requests end within the drain timeout.
    pub async fn serve(mut self, router: Router, stop: CancellationToken, metrics: HttpMetrics) {
        let door = Arc::new(Door { router, settings: self.settings.clone(), stop: stop.clone(), metrics });
        let permits = Arc::new(Semaphore::new(self.settings.max_connections));
        let every = self.settings.tls.as_ref().map_or(Duration::MAX, |tls| tls.reload_every);
        let mut connections = JoinSet::new();
        let mut look_at_files = tokio::time::interval(every.clamp(Duration::from_millis(10), FAR));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => door.note(&ended),
                _ = look_at_files.tick() => {
                    if let Some(certificates) = &mut self.certificates {
                        certificates.refresh();
                    }
                }
                (permit, socket, peer) = accept(&self.listener, &permits) => {
                    let acceptor = self.certificates.as_ref().map(Certificates::acceptor);
                    let door = Arc::clone(&door);
                    connections.spawn(async move {
                        door.welcome(socket, peer, acceptor).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(self.listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        // What is left when the time is over is cut off with the set.
        let _ = tokio::time::timeout(self.settings.drain_timeout, drained).await;
    }
}

/// An interval that does not matter.
const FAR: Duration = Duration::from_secs(24 * 3_600);

/// The next connection, once there is room for it. Losing the race of a `select!` loses nothing.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (permit, socket, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What every connection needs.
struct Door {
    router: Router,
    settings: Settings,
    stop: CancellationToken,
    metrics: HttpMetrics,
}

impl Door {
    fn note(&self, ended: &Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.metrics.panics.inc();
            tracing::error!(%error, "a connection failed");
        }
    }

    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, acceptor: Option<TlsAcceptor>) {
        let _open = self.metrics.connection_opened();
        // An answer is one small packet: waiting to fill it would cost 40 ms.
        let _ = socket.set_nodelay(true);
        match acceptor {
            None => self.converse(socket, peer).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(self.settings.header_timeout, acceptor.accept(socket));
                match handshake.await {
                    Ok(Ok(socket)) => self.converse(socket, peer).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            }
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        socket: S,
        peer: SocketAddr,
    ) {
        let activity = Arc::new(Activity::default());
        let patient = Patient::new(socket, Arc::clone(&activity), &self.settings);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let answering = activity.begin();
            let body_timeout = self.settings.body_timeout;
            let mut request: Request = request.map(|body| Body::new(TimedBody::new(body, body_timeout)));
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = self.router.clone().oneshot(request);
            async move { answer.await.map(|answer| answer.map(|body| keep(body, answering))) }
        });
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(patient), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "connection ended");
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let max_header_bytes = self.settings.max_header_bytes;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Heads are timed by `Patient`, which tells them from idle connections.
            .header_read_timeout(None)
            .max_buf_size(max_header_bytes.max(16 * 1024));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_MAX_STREAMS)
            .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(HTTP2_PING_EVERY);
        builder
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use axum::routing::{get, post};
    use prometheus::Registry;
    use rcgen::{CertifiedKey, KeyPair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::listen::TlsSettings;

    /// Timeouts short enough to be waited for.
    fn impatient() -> Settings {
        Settings {
            addr: "127.0.0.1:0".parse().unwrap(),
            header_timeout: Duration::from_millis(50),
            body_timeout: Duration::from_millis(50),
            idle_timeout: Duration::from_millis(300),
            ..Settings::default()
        }
    }

    async fn start(settings: &Settings) -> (SocketAddr, CancellationToken, JoinSet<()>) {
        let router =
            Router::new().route("/", get(async || "hello")).route("/echo", post(async |body: String| body));
        let bound = bind(settings).await.unwrap();
        let (addr, stop) = (bound.addr(), CancellationToken::new());
        let mut running = JoinSet::new();
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        running.spawn(bound.serve(router, stop.clone(), metrics));
        (addr, stop, running)
    }

    /// Sends `text` and reads until the server closes the connection.
    async fn until_closed(addr: SocketAddr, text: &str) -> String {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer));
        read.await.expect("the server holds on to the connection").ok();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_off() {
        let (addr, _stop, _running) = start(&impatient()).await;
        assert_eq!(until_closed(addr, "").await, "");
        assert_eq!(until_closed(addr, "GET / HTTP/1.1\r\nHost: x\r\nX: ").await, "");
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_cut_off() {
        let (addr, _stop, _running) = start(&impatient()).await;
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
        assert!(until_closed(addr, head).await.starts_with("HTTP/1.1 4"));
    }

    #[tokio::test]
    async fn an_idle_connection_outlives_the_head_timeout_and_then_ends() {
        let settings = impatient();
        let (addr, _stop, _running) = start(&settings).await;
        let asked = tokio::time::Instant::now();
        let answer = until_closed(addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        assert!(asked.elapsed() >= Duration::from_millis(250), "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn a_stop_ends_the_server_and_its_idle_connections() {
        let settings = Settings { idle_timeout: Duration::from_secs(60), ..impatient() };
        let (addr, stop, mut running) = start(&settings).await;
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), running.join_next()).await;
        assert!(matches!(ended, Ok(Some(Ok(())))));
        assert!(TcpStream::connect(addr).await.is_err());
    }

    /// A certificate for `localhost`, written to `cert.pem` and `key.pem`.
    fn write_certificate(dir: &Path) -> CertifiedKey<KeyPair> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made
    }

    fn with_tls(dir: &Path) -> Settings {
        let tls = TlsSettings {
            reload_every: Duration::from_millis(10),
            ..TlsSettings::new(dir.join("cert.pem"), dir.join("key.pem"))
        };
        // A handshake in a debug build takes longer than the impatient tests allow.
        Settings { tls: Some(tls), header_timeout: Duration::from_secs(5), ..impatient() }
    }

    /// Asks over TLS, trusting `server` only and showing `own` if the server wants to know.
    async fn ask(
        addr: SocketAddr,
        server: &CertifiedKey<KeyPair>,
        own: Option<&CertifiedKey<KeyPair>>,
    ) -> io::Result<String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(server.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = rustls_pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![own.cert.der().clone()], key).unwrap()
            }
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let socket = TcpStream::connect(addr).await?;
        let mut tls = connector.connect("localhost".try_into().unwrap(), socket).await?;
        tls.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await?;
        Ok(String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn tls_is_served_with_the_certificate_of_the_files_also_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let first = write_certificate(dir.path());
        let (addr, _stop, _running) = start(&with_tls(dir.path())).await;
        let answer = ask(addr, &first, None).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");

        let second = write_certificate(dir.path());
        let changed = async {
            while ask(addr, &second, None).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), changed).await.unwrap();
        assert!(ask(addr, &first, None).await.is_err());
    }

    #[tokio::test]
    async fn clients_must_show_a_certificate_where_one_is_asked_for() {
        let (dir, clients) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = write_certificate(dir.path());
        let (known, unknown) = (write_certificate(clients.path()), write_certificate(dir.path()));
        std::fs::write(dir.path().join("ca.pem"), known.cert.pem()).unwrap();
        std::fs::write(dir.path().join("cert.pem"), server.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), server.signing_key.serialize_pem()).unwrap();
        let mut settings = with_tls(dir.path());
        if let Some(tls) = &mut settings.tls {
            tls.client_ca_file = Some(dir.path().join("ca.pem"));
        }
        let (addr, _stop, _running) = start(&settings).await;
        assert!(ask(addr, &server, None).await.is_err());
        assert!(ask(addr, &server, Some(&unknown)).await.is_err());
        assert!(ask(addr, &server, Some(&known)).await.unwrap().ends_with("hello"));
    }

    #[tokio::test]
    async fn a_connection_beyond_the_cap_waits_until_another_ends() {
        let patient = Duration::from_secs(60);
        let settings =
            Settings { max_connections: 1, header_timeout: patient, idle_timeout: patient, ..impatient() };
        let (addr, _stop, _running) = start(&settings).await;
        let mut first = TcpStream::connect(addr).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        first.read_exact(&mut answer).await.unwrap();
        let mut second = TcpStream::connect(addr).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(200), second.read_exact(&mut answer));
        assert!(waiting.await.is_err(), "served beyond the cap");
        drop(first);
        let served = tokio::time::timeout(Duration::from_secs(10), second.read_exact(&mut answer));
        served.await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_is_cut_off() {
        let settings = Settings { write_timeout: Duration::from_millis(100), ..impatient() };
        let router = Router::new().route("/large", get(async || vec![b'x'; 64 << 20]));
        let bound = bind(&settings).await.unwrap();
        let (addr, stop) = (bound.addr(), CancellationToken::new());
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        let open = metrics.tcp_connections.clone();
        let mut running = JoinSet::new();
        running.spawn(bound.serve(router, stop, metrics));
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        socket.readable().await.unwrap();
        let ended = async {
            while open.get() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the server holds on");
    }

    #[tokio::test]
    async fn a_missing_certificate_is_told_by_name_before_anything_is_served() {
        let tls = Some(TlsSettings::new("/nowhere/cert.pem", "/nowhere/key.pem"));
        let refused = bind(&Settings { tls, ..impatient() }).await.err().unwrap();
        assert!(refused.to_string().starts_with("TLS file '/nowhere/cert.pem': "), "{refused}");
    }
}
