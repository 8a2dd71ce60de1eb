//! `sigyn findings`: asks a running server and shows a table, or the JSON as it came.

use clap::Args;
use serde::Deserialize;

use super::output;
use crate::{
    model::{Finding, Severity},
    net::{Egress, HeaderMap, HttpClient, Method, Request, Settings},
};

/// Largest answer taken: far more than a page of findings has.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// What `findings` takes.
#[derive(Debug, Args)]
pub(super) struct FindingsArgs {
    /// The server
    #[arg(long, env = "SIGYN_URL", default_value = "http://127.0.0.1:3100")]
    url: String,
    /// A token with the role `read`
    #[arg(long, env = "SIGYN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The tenant, on servers with several
    #[arg(long)]
    tenant: Option<String>,
    /// At least this severe: info, low, medium, high, critical
    #[arg(long, value_parser = severity)]
    severity: Option<Severity>,
    /// Only this category
    #[arg(long)]
    category: Option<String>,
    /// Only this status: open, acknowledged, resolved, false_positive
    #[arg(long)]
    status: Option<String>,
    /// Only on this host
    #[arg(long)]
    host: Option<String>,
    /// Only with this text
    #[arg(long)]
    text: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Print the JSON as it came
    #[arg(long)]
    json: bool,
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| "write info, low, medium, high or critical".to_owned())
}

#[derive(Deserialize)]
struct Page {
    findings: Vec<Finding>,
}

pub(super) fn run(args: &FindingsArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(fetch(args))?;
    if args.json {
        output::say(&String::from_utf8_lossy(&body));
        return Ok(());
    }
    let page: Page = serde_json::from_slice(&body)?;
    output::say(&table(&page.findings, output::is_colourful()));
    Ok(())
}

async fn fetch(args: &FindingsArgs) -> anyhow::Result<bytes::Bytes> {
    let mut headers = HeaderMap::new();
    if let Some(token) = &args.token {
        headers.insert("authorization", format!("Bearer {token}").parse()?);
    }
    if let Some(tenant) = &args.tenant {
        headers.insert("x-scope-orgid", tenant.parse()?);
    }
    let url = address(args);
    let egress = Egress::to_host_of(&args.url).ok_or_else(|| anyhow::anyhow!("not a URL: {}", args.url))?;
    let client = HttpClient::new(Settings { max_response_bytes: MAX_ANSWER_BYTES, ..Settings::to(egress) });
    let request = Request { method: Method::GET, url, headers, body: bytes::Bytes::new(), timeout: None };
    let response = client.send(request).await?;
    if response.status != 200 {
        let text = String::from_utf8_lossy(&response.body);
        anyhow::bail!("the server answered {}: {}", response.status, output::tame(text.trim()));
    }
    Ok(response.body)
}

fn address(args: &FindingsArgs) -> String {
    let mut query = form_urlencoded(&[("limit", &args.limit.to_string())]);
    let named = [
        ("severity", args.severity.map(Severity::as_str)),
        ("category", args.category.as_deref()),
        ("status", args.status.as_deref()),
        ("host", args.host.as_deref()),
        ("text", args.text.as_deref()),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            query.push('&');
            query.push_str(&form_urlencoded(&[(name, value)]));
        }
    }
    format!("{}/api/v1/findings?{query}", args.url.trim_end_matches('/'))
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect()
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// One block per finding: what, where, how often, and the first line that shows it.
fn table(findings: &[Finding], colourful: bool) -> String {
    if findings.is_empty() {
        return "no findings".to_owned();
    }
    let mut text = String::new();
    for finding in findings {
        let hosts = finding.hosts.iter().cloned().collect::<Vec<_>>().join(",");
        let head = format!(
            "{}  {}  {:20}  ×{:<6} {}  {}\n",
            output::severity(finding.severity, colourful),
            finding.last_seen,
            output::cut(&output::tame(finding.category.as_str()), 20),
            finding.count,
            output::cut(&output::tame(&hosts), 30),
            output::tame(&finding.title),
        );
        text.push_str(&head);
        if let Some(line) = finding.evidence.first() {
            text.push_str(&format!("          │ {}\n", output::cut(&output::tame(&line.line), 160)));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_an_encoded_query() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: FindingsArgs,
        }
        let only: Only =
            clap::Parser::parse_from(["x", "--url", "http://h/", "--severity", "high", "--text", "a b&c"]);
        assert_eq!(address(&only.args), "http://h/api/v1/findings?limit=50&severity=high&text=a%20b%26c");
    }
}
