//! The HTTP client: built at the first request, so that an idle process pays nothing for TLS.

use std::{error::Error as _, path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Certificate, Method, Proxy, Url, header::HeaderMap, redirect::Policy};
use tokio::sync::OnceCell;

use super::{Egress, HttpError};

/// Limits and rules of one client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time to get a connection.
    pub connect_timeout: Duration,
    /// Time for the whole exchange, unless the request names its own.
    pub total_timeout: Duration,
    /// Largest response body accepted.
    pub max_response_bytes: usize,
    /// Which hosts may be reached.
    pub egress: Egress,
    /// Further trusted certificates (PEM), beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Proxy for every request. The environment's proxy variables are not read.
    pub proxy: Option<String>,
}

impl Settings {
    /// Defaults for the hosts of one service: 5 s to connect, 30 s in all, 1 MiB of answer.
    pub fn to(egress: Egress) -> Self {
        Settings {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            max_response_bytes: 1024 * 1024,
            egress,
            ca_file: None,
            proxy: None,
        }
    }
}

/// A request. `Debug` shows neither headers nor path: both may be credentials.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
    /// Time for the whole exchange, if not the client's.
    pub timeout: Option<Duration>,
}

/// A complete response of any status.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, within the client's cap.
    pub body: Bytes,
}

/// Sends requests within the caps of its settings.
#[derive(Debug)]
pub struct HttpClient {
    settings: Settings,
    client: OnceCell<reqwest::Client>,
}

impl HttpClient {
    /// Takes the settings; nothing is built or read before the first request.
    pub fn new(settings: Settings) -> Self {
        HttpClient { settings, client: OnceCell::new() }
    }

    /// Sends one request and reads the whole response. Never retries, never follows a redirect.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let url = Url::parse(&request.url).map_err(|_| HttpError::BadUrl)?;
        let host = super::host_of(&request.url).ok_or(HttpError::BadUrl)?;
        if !self.settings.egress.allows(&url) {
            return Err(HttpError::Forbidden { host });
        }
        let client = self.client.get_or_try_init(|| build(&self.settings)).await?;
        let after = request.timeout.unwrap_or(self.settings.total_timeout);
        let exchange = exchange(client, request, url, &host, self.settings.max_response_bytes);
        tokio::time::timeout(after, exchange)
            .await
            .unwrap_or(Err(HttpError::Timeout { host: host.clone(), after }))
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: Request,
    url: Url,
    host: &str,
    limit: usize,
) -> Result<Response, HttpError> {
    let sending = client.request(request.method, url).headers(request.headers).body(request.body).send();
    let mut response = sending.await.map_err(|error| {
        let (host, cause) = (host.to_owned(), cause_of(&error.without_url()));
        HttpError::Connect { host, cause }
    })?;
    let too_large = || HttpError::TooLarge { host: host.to_owned(), limit };
    if response.content_length().is_some_and(|announced| announced > limit as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let broke_off = |error: reqwest::Error| HttpError::Interrupted {
        host: host.to_owned(),
        cause: cause_of(&error.without_url()),
    };
    while let Some(part) = response.chunk().await.map_err(broke_off)? {
        if body.len() + part.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
    }
    Ok(Response {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that builds a client, with caps and rules"
)]
async fn build(settings: &Settings) -> Result<reqwest::Client, HttpError> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let setup = |cause: String| HttpError::Setup { cause };
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(2)
        .user_agent(concat!("sigyn/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &settings.ca_file {
        let pem =
            tokio::fs::read(path).await.map_err(|error| setup(format!("{}: {error}", path.display())))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| setup(cause_of(&error)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(|_| setup("the proxy is not a URL".to_owned()))?);
    }
    builder.build().map_err(|error| setup(cause_of(&error)))
}

/// The innermost cause: the outer ones only repeat that a request failed.
fn cause_of(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{net::is_loopback, runtime::Supervisor};

    /// Serves one fixed router on loopback and says where.
    async fn serve(router: axum::Router) -> (String, Supervisor) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let supervisor = Supervisor::default();
        supervisor.spawn("test server", async move { axum::serve(listener, router).await });
        (url, supervisor)
    }

    fn get(url: String) -> Request {
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), timeout: None }
    }

    fn client(max_response_bytes: usize) -> HttpClient {
        let total_timeout = Duration::from_millis(300);
        HttpClient::new(Settings { max_response_bytes, total_timeout, ..Settings::to(Egress::LoopbackOnly) })
    }

    #[tokio::test]
    async fn statuses_and_redirects_are_answers_not_errors() {
        let router = axum::Router::new().route(
            "/go",
            axum::routing::get(|| async { axum::response::Redirect::temporary("http://evil.example/") }),
        );
        let (url, _server) = serve(router).await;
        assert!(is_loopback(&url));
        let response = client(100).send(get(format!("{url}/go"))).await.unwrap();
        assert_eq!(response.status, 307);
        assert_eq!(client(100).send(get(format!("{url}/none"))).await.unwrap().status, 404);
    }

    #[tokio::test]
    async fn large_and_slow_answers_are_cut_off() {
        let router = axum::Router::new()
            .route("/large", axum::routing::get(|| async { "x".repeat(101) }))
            .route("/slow", axum::routing::get(std::future::pending::<()>));
        let (url, _server) = serve(router).await;
        let large = client(100).send(get(format!("{url}/large"))).await.unwrap_err();
        assert_eq!(large, HttpError::TooLarge { host: "127.0.0.1".to_owned(), limit: 100 });
        let slow = client(100).send(get(format!("{url}/slow?key=secret"))).await.unwrap_err();
        assert_eq!(slow.to_string(), "no answer from 127.0.0.1 within 300ms");
    }

    #[tokio::test]
    async fn forbidden_hosts_and_odd_urls_are_never_contacted() {
        let refused = client(100).send(get("http://10.0.0.1/".to_owned())).await.unwrap_err();
        assert_eq!(refused, HttpError::Forbidden { host: "10.0.0.1".to_owned() });
        assert_eq!(
            client(100).send(get("file:///etc/passwd".to_owned())).await.unwrap_err(),
            HttpError::BadUrl
        );
    }

    #[tokio::test]
    async fn errors_keep_the_url_to_themselves() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/bot123:SECRET", listener.local_addr().unwrap());
        drop(listener);
        let error = client(100).send(get(url)).await.unwrap_err();
        assert!(
            matches!(&error, HttpError::Connect { .. }) && !format!("{error:?}").contains("SECRET"),
            "{error:?}"
        );
    }
}
