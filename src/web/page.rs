//! Values in, HTML out: the state, the findings, or how to send the first line.

use super::html::Html;
use crate::{
    model::{EvidenceLine, Finding, Incident, Severity, Timestamp},
    query::{Status, Verdict},
    store::finding::FindingSummary,
};

/// Evidence lines shown per finding; the API has them all.
const EVIDENCE_SHOWN: usize = 8;

/// Findings of an incident shown; the API has more.
const TIMELINE_SHOWN: usize = 20;

/// What the page shows.
pub struct View {
    /// How the server is doing.
    pub status: Status,
    /// Counts of all findings.
    pub summary: FindingSummary,
    /// The newest open incidents.
    pub incidents: Vec<Incident>,
    /// The newest findings.
    pub findings: Vec<Finding>,
}

/// The whole page.
pub fn render(view: &View, scheme: &'static str, address: &str) -> String {
    let mut html = Html::default();
    html.markup(concat!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"color-scheme\" content=\"light dark\"><title>Sigyn</title>",
        "<link rel=\"stylesheet\" href=\"/web/style.css\">",
        "<script src=\"/web/live.js\" defer></script></head>\n<body><header><h1>Sigyn</h1>",
        "<p id=\"live\" role=\"status\">not live</p></header>\n<main>"
    ));
    state(&mut html, view);
    if view.status.verdict == Verdict::Waiting {
        snippet(&mut html, scheme, address);
    }
    if !view.incidents.is_empty() {
        html.markup("<section aria-label=\"Incidents\"><h2>Open incidents</h2>");
        for open in &view.incidents {
            incident(&mut html, open);
        }
        html.markup("</section>");
    }
    html.markup("<section aria-label=\"Findings\"><h2>Newest findings</h2>");
    if view.findings.is_empty() {
        html.element("<p class=\"empty\">", nothing(view.status.verdict), "</p>");
    }
    for found in &view.findings {
        finding(&mut html, found);
    }
    html.markup("</section></main>\n<footer><a href=\"/api/v1/openapi.json\">API</a> · ");
    html.markup("<a href=\"/api/v1/status\">status</a> · <a href=\"/metrics\">metrics</a> · version ");
    html.text(view.status.version).markup("</footer></body></html>\n");
    html.finish()
}

fn state(html: &mut Html, view: &View) {
    let status = &view.status;
    let (open, sentence) = match status.verdict {
        Verdict::Waiting => ("<section class=\"state waiting\"><p>", "No lines have come yet."),
        Verdict::Behind => ("<section class=\"state trouble\"><p>", "The analysis is behind the intake."),
        Verdict::AnalysisFailed => (
            "<section class=\"state trouble\"><p>",
            "The model could not be asked; the rules' findings stand.",
        ),
        Verdict::Findings => ("<section class=\"state found\"><p>", "There are open findings."),
        Verdict::NothingFound => {
            ("<section class=\"state quiet\"><p>", "Everything was read; nothing is open.")
        }
    };
    html.element(open, sentence, "</p>");
    if let Some(error) = &status.analysis.last_error {
        html.element("<p class=\"error\">last failed window: ", error, "</p>");
    }
    html.markup("<dl>");
    for severity in Severity::ALL.into_iter().rev() {
        let count = view.summary.by_severity.get(severity.as_str()).copied().unwrap_or(0);
        if count > 0 {
            fact(html, severity.as_str(), &count.to_string());
        }
    }
    fact(html, "open", &status.open_findings.to_string());
    fact(html, "streams", &status.intake.streams.to_string());
    fact(html, "blocks to analyse", &status.analysis.behind_blocks.to_string());
    fact(html, "model", status.model.name.as_deref().unwrap_or("none: rules and detectors"));
    html.markup("</dl></section>");
}

fn fact(html: &mut Html, name: &str, value: &str) {
    html.element("<div><dt>", name, "</dt>").element("<dd>", value, "</dd></div>");
}

fn nothing(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Waiting => "Nothing can be found before lines come.",
        Verdict::Behind => "Nothing yet; not everything has been read.",
        Verdict::AnalysisFailed => "The rules found nothing; the model could not be asked.",
        Verdict::Findings | Verdict::NothingFound => "Nothing found.",
    }
}

/// How to point Promtail here.
fn snippet(html: &mut Html, scheme: &'static str, address: &str) {
    html.markup(
        "<section><h2>Send the first line</h2><p>In Promtail's configuration:</p><pre>clients:\n  - url: ",
    );
    html.markup(scheme).markup("://").text(address).markup("/loki/api/v1/push</pre></section>");
}

fn article(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "<article class=\"critical\">",
        Severity::High => "<article class=\"high\">",
        Severity::Medium => "<article class=\"medium\">",
        Severity::Low => "<article class=\"low\">",
        Severity::Info => "<article class=\"info\">",
    }
}

fn incident(html: &mut Html, open: &Incident) {
    html.markup(article(open.severity));
    html.element("<h3><span class=\"severity\">", open.severity.as_str(), "</span> ");
    html.text(&open.title).markup("</h3><p class=\"meta\">");
    html.element("<time>", &whole_seconds(open.last_seen), "</time>");
    html.element(" · ", open.status.as_str(), "");
    let marks = [(open.is_flapping, "flapping"), (open.is_storm, "folded"), (open.muted, "maintenance")];
    for (_, mark) in marks.into_iter().filter(|(is_set, _)| *is_set) {
        html.element(" · ", mark, "");
    }
    html.element(" · ", &open.count.to_string(), if open.count == 1 { " event" } else { " events" });
    html.element("</p><details id=\"i-", &open.id.0, "\"><summary>");
    html.text(&open.findings.to_string());
    html.markup(if open.findings == 1 { " finding</summary><ol>" } else { " findings</summary><ol>" });
    for entry in open.timeline.iter().take(TIMELINE_SHOWN) {
        html.element("<li><time>", &whole_seconds(entry.first_seen), "</time> ").text(&entry.title);
        html.markup("</li>");
    }
    let hidden = open.findings.saturating_sub(open.timeline.len().min(TIMELINE_SHOWN) as u64);
    if hidden > 0 {
        html.element("<li>… and ", &hidden.to_string(), " more</li>");
    }
    html.element("</ol><a href=\"/api/v1/incidents/", &open.id.0, "\">all of it</a></details></article>");
}

fn finding(html: &mut Html, found: &Finding) {
    html.markup(article(found.severity));
    html.element("<h3><span class=\"severity\">", found.severity.as_str(), "</span> ");
    html.text(&found.title).markup("</h3><p class=\"meta\">");
    html.element("<time>", &whole_seconds(found.last_seen), "</time>");
    html.element(" · ", &found.category.as_str().replace('_', " "), "").element(
        " · ",
        &found.status.as_str().replace('_', " "),
        "",
    );
    html.element(" · ", &found.count.to_string(), if found.count == 1 { " event" } else { " events" });
    for host in &found.hosts {
        html.element(" · ", host, "");
    }
    html.element("</p><p>", &found.summary, "</p>");
    if !found.recommendation.is_empty() {
        html.element("<p class=\"advice\"><b>What to do:</b> ", &found.recommendation, "</p>");
    }
    if let Some(note) = &found.note {
        html.element("<p class=\"note\">Note: ", note, "</p>");
    }
    evidence(html, &found.id.0, &found.evidence);
    html.markup("</article>");
}

/// The exact time is the API's; people read seconds.
fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_secs(time.as_secs()).to_string()
}

fn evidence(html: &mut Html, id: &str, lines: &[EvidenceLine]) {
    html.element("<details id=\"e-", id, "\">").element(
        "<summary>",
        &lines.len().to_string(),
        if lines.len() == 1 {
            " line of evidence</summary><pre>"
        } else {
            " lines of evidence</summary><pre>"
        },
    );
    for line in lines.iter().take(EVIDENCE_SHOWN) {
        html.element("<time>", &whole_seconds(line.timestamp_ns), "</time> ").text(&line.line).markup("\n");
    }
    let hidden = lines.len().saturating_sub(EVIDENCE_SHOWN);
    if hidden > 0 {
        html.element("… and ", &hidden.to_string(), " more\n");
    }
    html.element("</pre><a href=\"/api/v1/findings/", id, "/context\">lines around these</a></details>");
}
