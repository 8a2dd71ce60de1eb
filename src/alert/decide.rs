//! What a channel is to be told of an incident that has changed. Pure.

use std::time::Duration;

use super::{GIVE_UP, Route};
use crate::{
    model::{AlertReason, FindingStatus, Incident, Severity, Timestamp},
    store::delivery::Told,
};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Take back what has not been sent yet.
    Withdraw,
    /// Bring what has not been sent yet up to date, to be sent then.
    Refresh(Timestamp),
    /// Queue a message, to be sent then; `replaces` says that the one not yet sent is taken back.
    Tell {
        /// Why.
        reason: AlertReason,
        /// When.
        at: Timestamp,
        /// Whether the one not yet sent is taken back.
        replaces: bool,
    },
}

/// Decides for one channel: `told` is what it was last told of the incident, `route` the first that matches, `wait` how
/// long the first message of what is not urgent waits for company.
pub(super) fn decide(
    incident: &Incident,
    told: Option<&Told>,
    route: Option<&Route>,
    (wait, now): (Duration, Timestamp),
) -> Step {
    let is_waiting = told.is_some_and(|told| told.is_waiting);
    let is_silent =
        incident.muted || incident.status == FindingStatus::FalsePositive || incident.merged_into.is_some();
    if is_silent {
        return if is_waiting { Step::Withdraw } else { Step::Nothing };
    }
    let Some(route) = route else { return Step::Nothing };
    let is_urgent = incident.severity >= Severity::High;
    let Some(told) = told else {
        let is_long_over = incident.closed_at.is_some_and(|closed| now.since(closed) >= GIVE_UP);
        let at = if is_urgent { now } else { now.plus(wait) };
        return if is_long_over { Step::Nothing } else { tell(AlertReason::First, at) };
    };
    if incident.status == FindingStatus::Resolved {
        return resolved(told, route, now);
    }
    let is_back = told.reason == AlertReason::Resolved || incident.reopened > told.reopened;
    let is_worse = incident.severity > told.severity;
    if told.is_waiting && !is_back {
        return match told.reason {
            AlertReason::More if is_worse => {
                Step::Tell { reason: AlertReason::Worse, at: now, replaces: true }
            }
            AlertReason::More if incident.status == FindingStatus::Acknowledged => Step::Withdraw,
            _ => Step::Refresh(if is_worse && is_urgent { now.min(told.next) } else { told.next }),
        };
    }
    if is_back {
        return tell(AlertReason::Reopened, now);
    }
    if is_worse {
        return tell(AlertReason::Worse, now);
    }
    let has_news = incident.count > told.count && incident.status == FindingStatus::Open;
    if has_news && !route.repeat.is_zero() {
        return tell(AlertReason::More, now.max(told.at.plus(route.repeat)));
    }
    Step::Nothing
}

fn resolved(told: &Told, route: &Route, now: Timestamp) -> Step {
    let replaces = told.is_waiting && told.reason == AlertReason::More;
    match (told.reason, route.resolved) {
        (AlertReason::Resolved, _) => Step::Nothing,
        (_, true) => Step::Tell { reason: AlertReason::Resolved, at: now, replaces },
        (_, false) if replaces => Step::Withdraw,
        (_, false) => Step::Nothing,
    }
}

fn tell(reason: AlertReason, at: Timestamp) -> Step {
    Step::Tell { reason, at, replaces: false }
}
