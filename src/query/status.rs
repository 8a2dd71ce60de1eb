//! How the server is doing, in one answer: what comes in, how far the engines are, and whether the analysis works.
//!
//! "Nothing found" is only said when the analysis looked; failed windows are never counted as quiet ones.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Query, QueryError};
use crate::{
    model::{FindingStatus, TenantId, Timestamp, WindowState},
    store::{
        Connection, StoreError, census, finding, position,
        window::{self, WindowFilter},
    },
};

/// Windows of this time back decide the verdict.
const RECENT: Duration = Duration::from_secs(24 * 3_600);
/// An engine that is this far behind is behind; shorter is the pace of windows.
const BEHIND: Duration = Duration::from_secs(300);

/// What there is to say at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No lines have come yet.
    Waiting,
    /// The analysis is minutes behind the intake; silence means nothing.
    Behind,
    /// The newest window that wanted a model could not be explained; rules still work.
    AnalysisFailed,
    /// There are open findings.
    Findings,
    /// Everything was looked at and nothing is open.
    NothingFound,
}

/// How the server is doing.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The running version.
    pub version: &'static str,
    /// When it started.
    pub started_at: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// The state in one word.
    pub verdict: Verdict,
    /// What comes in.
    pub intake: IntakeStatus,
    /// How far the analysis is.
    pub analysis: AnalysisStatus,
    /// The model.
    pub model: ModelStatus,
    /// Forwarding to a Loki.
    pub forward: ForwardStatus,
    /// Findings nobody has dealt with.
    pub open_findings: u64,
    /// The database.
    pub database: DatabaseStatus,
}

/// What comes in.
#[derive(Clone, Debug, Serialize)]
pub struct IntakeStatus {
    /// Sequence number of the newest block; 0 before the first.
    pub head: u64,
    /// The tenant's streams.
    pub streams: usize,
    /// Those with entries within the last hour.
    pub active_streams: usize,
}

/// How far an engine is, and what became of the windows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AnalysisStatus {
    /// Every block up to this one is analysed.
    pub position: u64,
    /// Blocks still to do.
    pub behind_blocks: u64,
    /// Age of the oldest of them.
    pub behind_seconds: u64,
    /// Windows closed within a day, by what became of them.
    pub windows_by_state: BTreeMap<String, u64>,
    /// When the newest window was closed.
    pub last_window_at: Option<Timestamp>,
    /// Whether the newest window that a model should have explained failed.
    pub is_failing: bool,
    /// Why the newest failed window of the last day failed.
    pub last_error: Option<String>,
}

/// The model, if one is configured.
#[derive(Clone, Debug, Serialize)]
pub struct ModelStatus {
    /// Whether findings get a model's words.
    pub is_configured: bool,
    /// Provider and model.
    pub name: Option<String>,
}

/// How far forwarding is, if it is on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ForwardStatus {
    /// Whether lines are forwarded.
    pub is_configured: bool,
    /// Every block up to this one is forwarded.
    pub position: Option<u64>,
    /// Blocks still to do.
    pub behind_blocks: Option<u64>,
    /// Age of the oldest of them.
    pub behind_seconds: Option<u64>,
}

/// The database.
#[derive(Clone, Debug, Serialize)]
pub struct DatabaseStatus {
    /// Bytes of its file.
    pub bytes: u64,
}

impl Query {
    /// How the server is doing for a tenant.
    pub async fn status(&self, tenant: &TenantId) -> Result<Status, QueryError> {
        let streams = self.store.streams();
        let intake = IntakeStatus {
            head: *self.store.head().borrow(),
            streams: streams.of_tenant(tenant).len(),
            active_streams: streams.active(tenant),
        };
        let (number, now, about) = (self.tenant_number(tenant), self.clock.now(), self.about.clone());
        let read = move |conn: &Connection| {
            let analysis = analysis(conn, number, intake.head, now)?;
            let summary = finding::summary(conn, number, None, None)?;
            let open_findings = summary.by_status.get(FindingStatus::Open.as_str()).copied().unwrap_or(0);
            Ok(Status {
                version: env!("CARGO_PKG_VERSION"),
                started_at: about.started,
                uptime_seconds: now.since(about.started).as_secs(),
                verdict: verdict(&intake, &analysis, open_findings),
                forward: if about.forward {
                    forward(conn, intake.head, now)?
                } else {
                    ForwardStatus::default()
                },
                intake,
                analysis,
                model: ModelStatus { is_configured: about.model.is_some(), name: about.model.clone() },
                open_findings,
                database: DatabaseStatus { bytes: census::database_bytes(conn)? },
            })
        };
        Ok(self.store.read(read).await?)
    }
}

/// Trouble first: an analysis that does not work makes every other answer worthless.
fn verdict(intake: &IntakeStatus, analysis: &AnalysisStatus, open_findings: u64) -> Verdict {
    if intake.streams == 0 {
        Verdict::Waiting
    } else if analysis.is_failing {
        Verdict::AnalysisFailed
    } else if analysis.behind_seconds > BEHIND.as_secs() {
        Verdict::Behind
    } else if open_findings > 0 {
        Verdict::Findings
    } else {
        Verdict::NothingFound
    }
}

fn analysis(conn: &Connection, tenant: i64, head: u64, now: Timestamp) -> Result<AnalysisStatus, StoreError> {
    let recent = now.minus(RECENT);
    let newest = |state| {
        let filter = WindowFilter { tenant, state, limit: 1, ..WindowFilter::default() };
        window::list(conn, &filter).map(|windows| windows.into_iter().next())
    };
    let failed = newest(Some(WindowState::Failed))?.filter(|window| window.closed_at >= recent);
    let analysed_at = newest(Some(WindowState::Analysed))?.map(|window| window.closed_at);
    let position = position::get(conn, position::name::ANALYZE)?;
    Ok(AnalysisStatus {
        position,
        behind_blocks: head.saturating_sub(position),
        behind_seconds: behind_seconds(conn, position, now)?,
        windows_by_state: census::window_states(conn, tenant, recent)?,
        last_window_at: newest(None)?.map(|window| window.closed_at),
        is_failing: failed.as_ref().is_some_and(|window| Some(window.closed_at) > analysed_at),
        last_error: failed.and_then(|window| window.error),
    })
}

fn forward(conn: &Connection, head: u64, now: Timestamp) -> Result<ForwardStatus, StoreError> {
    let position = position::get(conn, position::name::FORWARD)?;
    Ok(ForwardStatus {
        is_configured: true,
        position: Some(position),
        behind_blocks: Some(head.saturating_sub(position)),
        behind_seconds: Some(behind_seconds(conn, position, now)?),
    })
}

fn behind_seconds(conn: &Connection, position: u64, now: Timestamp) -> Result<u64, StoreError> {
    let oldest = census::received_after(conn, position)?;
    Ok(oldest.map_or(0, |received| now.since(received).as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(streams: usize, is_failing: bool, behind_seconds: u64, open: u64, expected: Verdict) {
        let intake = IntakeStatus { head: 1, streams, active_streams: streams };
        let analysis = AnalysisStatus { is_failing, behind_seconds, ..AnalysisStatus::default() };
        assert_eq!(verdict(&intake, &analysis, open), expected);
    }

    #[test]
    fn nothing_found_is_only_said_when_the_analysis_looked() {
        check(0, false, 0, 0, Verdict::Waiting);
        check(1, false, 0, 0, Verdict::NothingFound);
        check(1, false, 0, 2, Verdict::Findings);
        check(1, true, 0, 2, Verdict::AnalysisFailed);
        check(1, true, 0, 0, Verdict::AnalysisFailed);
        check(1, false, 301, 0, Verdict::Behind);
    }
}
