//! `sigyn findings`: asks a running server and shows a table, or the JSON as it came.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::output;
use crate::{
    model::{EvidenceLine, Finding, Severity, Timestamp},
    net::{Egress, HeaderMap, HttpClient, Method, Request, Settings},
};

/// Largest answer taken: far more than a page of findings has.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Findings asked for at once; the server gives no more.
const MAX_PAGE: usize = 500;
/// Stands before everything but titles: as wide as a severity and the gap after it.
const INDENT: &str = "          ";

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
    /// Only of this service
    #[arg(long)]
    service: Option<String>,
    /// Only with this text
    #[arg(long)]
    text: Option<String>,
    /// Seen at or after this time: 2026-11-21T10:00:00Z, or nanoseconds since 1970
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Seen before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Columns of the table
    #[arg(long, env = "COLUMNS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(40..))]
    width: u16,
    /// Print JSON as the API has it
    #[arg(long)]
    json: bool,
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| "write info, low, medium, high or critical".to_owned())
}

/// One page of the API; findings stay as they came until the table needs them.
#[derive(Default, Deserialize, Serialize)]
struct Page {
    findings: Vec<Value>,
    next_cursor: Option<String>,
}

pub(super) fn run(args: &FindingsArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = runtime.block_on(fetch(args))?;
    if args.json {
        output::say(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let findings =
        all.findings.into_iter().map(serde_json::from_value).collect::<Result<Vec<Finding>, _>>()?;
    output::say(&table(&findings, args.width.into(), output::is_colourful()));
    if all.next_cursor.is_some() {
        output::problem(&format!("there are more than {}; --limit shows more", args.limit));
    }
    Ok(())
}

/// Asks page after page until there is no more, or as much as was wanted.
async fn fetch(args: &FindingsArgs) -> anyhow::Result<Page> {
    let egress = Egress::to_host_of(&args.url).ok_or_else(|| anyhow::anyhow!("not a URL: {}", args.url))?;
    let client = HttpClient::new(Settings { max_response_bytes: MAX_ANSWER_BYTES, ..Settings::to(egress) });
    let mut all = Page::default();
    loop {
        let wanted = args.limit.saturating_sub(all.findings.len());
        let page = fetch_page(args, &client, wanted.min(MAX_PAGE), all.next_cursor.as_deref()).await?;
        let is_last = page.findings.is_empty() || page.findings.len() >= wanted;
        all.findings.extend(page.findings);
        all.next_cursor = page.next_cursor;
        if is_last || all.next_cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn fetch_page(
    args: &FindingsArgs,
    client: &HttpClient,
    limit: usize,
    cursor: Option<&str>,
) -> anyhow::Result<Page> {
    let mut headers = HeaderMap::new();
    if let Some(token) = &args.token {
        headers.insert("authorization", format!("Bearer {token}").parse()?);
    }
    if let Some(tenant) = &args.tenant {
        headers.insert("x-scope-orgid", tenant.parse()?);
    }
    let url = address(args, limit, cursor);
    let request = Request { method: Method::GET, url, headers, body: bytes::Bytes::new(), timeout: None };
    let response = client.send(request).await?;
    if response.status != 200 {
        let text = String::from_utf8_lossy(&response.body);
        anyhow::bail!("the server answered {}: {}", response.status, output::tame(text.trim()));
    }
    Ok(serde_json::from_slice(&response.body)?)
}

fn address(args: &FindingsArgs, limit: usize, cursor: Option<&str>) -> String {
    let mut query = form_urlencoded(&[("limit", &limit.to_string())]);
    let nanos = |time: Option<Timestamp>| time.map(|time| time.as_nanos().to_string());
    let (from, to) = (nanos(args.from), nanos(args.to));
    let named = [
        ("from", from.as_deref()),
        ("to", to.as_deref()),
        ("severity", args.severity.map(Severity::as_str)),
        ("category", args.category.as_deref()),
        ("status", args.status.as_deref()),
        ("host", args.host.as_deref()),
        ("service", args.service.as_deref()),
        ("text", args.text.as_deref()),
        ("cursor", cursor),
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

/// One block per finding: what, when and where, and the first line that shows it. Only the title may be longer than
/// `width`: it is the message.
fn table(findings: &[Finding], width: usize, colourful: bool) -> String {
    if findings.is_empty() {
        return "no findings".to_owned();
    }
    let mark = |_: &EvidenceLine| "│ ".to_owned();
    let blocks: Vec<_> = findings.iter().map(|finding| block(finding, width, colourful, &mark)).collect();
    blocks.join("\n")
}

/// One finding; `mark` stands before the line that shows it.
pub(super) fn block(
    finding: &Finding,
    width: usize,
    colourful: bool,
    mark: &dyn Fn(&EvidenceLine) -> String,
) -> String {
    let hosts = finding.hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let facts = format!(
        "{}  ×{}  {}  {}  {hosts}",
        Timestamp::from_secs(finding.last_seen.as_secs()),
        finding.count,
        finding.category.as_str(),
        finding.status.as_str(),
    );
    let severity = output::severity(finding.severity, colourful);
    let mut text = format!("{severity}  {}", output::tame(&finding.title));
    let mut add = |mark: &str, line: &str| {
        text.push_str(&format!("\n{INDENT}{}", output::cut(&format!("{mark}{line}"), width - INDENT.len())));
    };
    add("", &output::tame(&facts));
    if let Some(line) = finding.evidence.first() {
        add(&output::tame(&mark(line)), &output::tame(line.line.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> FindingsArgs {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: FindingsArgs,
        }
        let only: Only = clap::Parser::parse_from([&["x", "--url", "http://h/"], words].concat());
        only.args
    }

    #[test]
    fn filters_become_an_encoded_query() {
        let args = parse(&["--severity", "high", "--text", "a b&c", "--from", "2026-11-21T10:00:00Z"]);
        assert_eq!(
            address(&args, 50, Some("x")),
            "http://h/api/v1/findings?limit=50&from=1795255200000000000&severity=high&text=a%20b%26c&cursor=x"
        );
        let args = parse(&["--service", "sshd", "--category", "oom", "--status", "open", "--host", "a"]);
        let expected = "http://h/api/v1/findings?limit=7&category=oom&status=open&host=a&service=sshd";
        assert_eq!(address(&args, 7, None), expected);
    }

    #[test]
    fn only_the_title_is_wider_than_the_terminal_and_nothing_steers_it() {
        let mut finding: Finding = serde_json::from_str(include_str!("finding.json")).unwrap();
        finding.evidence[0].line = format!("\u{1b}[2J\u{202e}{}", "ä".repeat(200));
        let text = table(&[finding], 80, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "critical  db-1: out of memory, the kernel killed postgres");
        assert_eq!(lines[1], "          2026-11-21T10:00:00Z  ×3  oom  open  db-1");
        assert!(lines[2].starts_with("          │ \u{fffd}[2J\u{fffd}äää") && lines[2].ends_with("ä…"));
        assert_eq!((lines.len(), lines[2].chars().count()), (3, 80));
    }
}
