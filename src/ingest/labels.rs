//! From the labels a client wrote to a valid label set, or to what is wrong with them.

use std::sync::atomic::{AtomicI64, Ordering};

use super::{
    Limits,
    refusal::{StreamText, Violation},
};
use crate::{
    model::{DuplicateLabel, LabelPairs, Labels, StreamId, TenantId, Timestamp},
    wire::labels::Pairs,
};

/// What a label text means: a label set, or a reason to refuse every entry that comes with it.
pub(super) struct Known {
    pub verdict: Result<Labels, Violation>,
    /// For messages.
    pub text: StreamText,
    /// The stream's number and when it was last confirmed; negative when never.
    number: AtomicI64,
    confirmed_secs: AtomicI64,
}

/// The registry is asked again after this time, so that it knows which streams are active.
const CONFIRM_EVERY_SECS: i64 = 60;

impl Known {
    /// The number, if it was confirmed lately.
    pub fn stream(&self, now: Timestamp) -> Option<StreamId> {
        let age = now.as_secs().saturating_sub(self.confirmed_secs.load(Ordering::Acquire));
        let number = u64::try_from(self.number.load(Ordering::Acquire)).ok()?;
        (age < CONFIRM_EVERY_SECS).then_some(StreamId(number))
    }

    /// Notes the number.
    pub fn confirm(&self, stream: StreamId, now: Timestamp) {
        self.number.store(i64::try_from(stream.0).unwrap_or(-1), Ordering::Release);
        self.confirmed_secs.store(now.as_secs(), Ordering::Release);
    }
}

/// Adds `service_name` and holds the labels against the limits.
pub(super) fn check(mut pairs: Pairs, tenant: &TenantId, limits: &Limits) -> Known {
    if limits.discover_service_name {
        discover_service_name(&mut pairs, &limits.service_name_labels);
    }
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    let verdict = verdict(&pairs, tenant, limits);
    let text = match &verdict {
        Ok(labels) => StreamText::Valid(labels.clone()),
        Err(_) => StreamText::Invalid(LabelPairs(&pairs).to_string()),
    };
    Known { verdict, text, number: AtomicI64::new(-1), confirmed_secs: AtomicI64::new(i64::MIN) }
}

fn verdict(pairs: &Pairs, tenant: &TenantId, limits: &Limits) -> Result<Labels, Violation> {
    for (name, value) in pairs {
        if name.len() > limits.max_label_name_bytes {
            return Err(Violation::LabelNameTooLong { name: name.clone() });
        }
        if value.len() > limits.max_label_value_bytes {
            return Err(Violation::LabelValueTooLong { value: value.clone() });
        }
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|DuplicateLabel(name)| Violation::DuplicateLabel { name })?;
    if labels.is_empty() {
        return Err(Violation::NoLabels);
    }
    let count = labels.iter().filter(|(name, _)| *name != "service_name").count();
    if count > limits.max_label_names {
        return Err(Violation::TooManyLabels { count, max: limits.max_label_names });
    }
    let missing: Vec<&str> =
        limits.enforced_labels.iter().map(String::as_str).filter(|name| labels.get(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Violation::MissingLabels { names: missing.join(","), tenant: tenant.clone() });
    }
    Ok(labels)
}

/// Copies the first of the known labels that has a value. Streams Loki derives for itself are left alone.
fn discover_service_name(pairs: &mut Pairs, sources: &[String]) {
    let value =
        |wanted: &str| pairs.iter().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, v)| v);
    let is_settled = ["service_name", "__aggregated_metric__", "__pattern__"];
    if sources.is_empty() || is_settled.iter().any(|name| value(name).is_some()) {
        return;
    }
    let found = sources.iter().find_map(|source| value(source));
    let service = found.cloned().unwrap_or_else(|| "unknown_service".to_owned());
    pairs.retain(|(name, _)| name != "service_name");
    pairs.push(("service_name".to_owned(), service));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::labels::parse;

    fn verdict_of(text: &str, limits: &Limits) -> Result<String, Violation> {
        let known = check(parse(text.as_bytes()).unwrap(), &TenantId::single(), limits);
        known.verdict.map(|labels| labels.to_string())
    }

    #[test]
    fn a_service_name_is_found_or_unknown() {
        let limits = Limits::default();
        for (text, expected) in [
            (r#"{job="j", app="a"}"#, r#"{app="a", job="j", service_name="a"}"#),
            (r#"{container="c", app=""}"#, r#"{container="c", service_name="c"}"#),
            (r#"{service_name="s", app="a"}"#, r#"{app="a", service_name="s"}"#),
            (r#"{x="y"}"#, r#"{service_name="unknown_service", x="y"}"#),
            ("{}", r#"{service_name="unknown_service"}"#),
            (r#"{__pattern__="p"}"#, r#"{__pattern__="p"}"#),
        ] {
            assert_eq!(verdict_of(text, &limits).as_deref(), Ok(expected), "{text}");
        }
        let off = Limits { discover_service_name: false, ..Limits::default() };
        assert_eq!(verdict_of("{}", &off), Err(Violation::NoLabels));
    }

    #[test]
    fn limits_on_labels_are_inclusive_and_do_not_count_service_name() {
        let limits = Limits {
            max_label_names: 2,
            max_label_name_bytes: 12,
            max_label_value_bytes: 15,
            ..Limits::default()
        };
        assert!(verdict_of(r#"{a="1", b="2"}"#, &limits).is_ok());
        assert_eq!(
            verdict_of(r#"{a="1", b="2", c="3"}"#, &limits),
            Err(Violation::TooManyLabels { count: 3, max: 2 })
        );
        assert!(verdict_of(r#"{abcdefghijkl="123456789012345"}"#, &limits).is_ok());
        assert!(matches!(
            verdict_of(r#"{abcdefghijklm="1"}"#, &limits),
            Err(Violation::LabelNameTooLong { .. })
        ));
        let long = verdict_of(r#"{a="1234567890123456"}"#, &limits);
        assert!(matches!(long, Err(Violation::LabelValueTooLong { .. })));
    }

    #[test]
    fn duplicates_are_shown_with_the_whole_stream() {
        let known = check(parse(br#"{a="b",a="c"}"#).unwrap(), &TenantId::single(), &Limits::default());
        assert_eq!(known.verdict, Err(Violation::DuplicateLabel { name: "a".into() }));
        let shown = r#"{a="b", a="c", service_name="unknown_service"}"#;
        assert_eq!(known.text, StreamText::Invalid(shown.into()));
    }
}
