//! The demo's server as its clients see it: pushes in, findings out, all over HTTP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    model::Finding,
    net::{Egress, HeaderMap, HeaderValue, HttpClient, Method, Request, Response, Settings},
    wire::encode,
};

/// Tries of one push before the demo gives up.
const MAX_TRIES: u32 = 20;
/// The wait after a push that was not taken.
const PAUSE: Duration = Duration::from_millis(500);
/// Largest answer taken; a page of findings is far smaller.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A server at an address.
pub(super) struct Site {
    base: String,
    client: HttpClient,
}

#[derive(Deserialize)]
struct Findings {
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Status {
    analysis: Analysis,
}

#[derive(Deserialize)]
struct Analysis {
    behind_blocks: u64,
}

impl Site {
    pub(super) fn new(address: SocketAddr) -> Self {
        let settings =
            Settings { max_response_bytes: MAX_ANSWER_BYTES, ..Settings::to(Egress::LoopbackOnly) };
        Site { base: format!("http://{address}"), client: HttpClient::new(settings) }
    }

    /// A path as a full URL.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Pushes streams as Promtail does; waits and tries again while the server is busy.
    pub(super) async fn push(&self, streams: Vec<encode::Stream>) -> anyhow::Result<()> {
        let body = encode::encode(streams)?;
        for _ in 0..MAX_TRIES {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(encode::CONTENT_TYPE));
            let response = self.send(Method::POST, "/loki/api/v1/push", headers, body.clone()).await?;
            match response.status {
                204 => return Ok(()),
                429 | 503 => tokio::time::sleep(PAUSE).await,
                _ => anyhow::bail!("{}", refusal(&response)),
            }
        }
        anyhow::bail!("the server stayed busy")
    }

    /// Every finding so far, newest first.
    pub(super) async fn findings(&self) -> anyhow::Result<Vec<Finding>> {
        let page: Findings = self.get("/api/v1/findings?limit=200").await?;
        Ok(page.findings)
    }

    /// Whether every line taken has been analysed in a closed window.
    pub(super) async fn is_settled(&self) -> anyhow::Result<bool> {
        let status: Status = self.get("/api/v1/status").await?;
        Ok(status.analysis.behind_blocks == 0)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        anyhow::ensure!(response.status == 200, refusal(&response));
        Ok(serde_json::from_slice(&response.body)?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let request = Request { method, url: self.url(path), headers, body, timeout: None };
        Ok(self.client.send(request).await?)
    }
}

fn refusal(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    format!("the server answered {}: {}", response.status, text.trim())
}
