//! Lines of other streams that share an address, a request id, a user or a host with suspicious lines of a window.

use std::{collections::BTreeSet, net::IpAddr, sync::LazyLock, time::Duration};

use regex::Regex;
use rustc_hash::FxHashMap;

use super::{Context, Related, RelatedSettings, Surroundings};
use crate::{
    analyze::{
        exhibit::{Exemplar, Exhibit, Item},
        group::group_name,
        window::quoted,
    },
    model::{EvidenceLine, Labels, StreamId, Timestamp},
    redact::addresses,
    store::{
        Connection, StoreError,
        needle::{self, NeedleHit, NeedleQuery, Needles},
    },
};

/// From this suspicion on (see `analyze::digest`) a template's lines are worth following: a rule, or an error.
const SUSPICIOUS: f64 = 0.3;
/// Templates whose lines are followed, the most suspicious first.
const ITEMS_MAX: usize = 20;
/// Words followed, of each kind.
const ADDRESSES_MAX: usize = 16;
const IDS_MAX: usize = 12;
const USERS_MAX: usize = 8;
const HOSTS_MAX: usize = 4;
/// A name that stands in more lines than this is on everybody's lips and says nothing.
const COMMON: u64 = 200;
/// Lines kept per word and stream.
const KEEP: usize = 4;
/// Suspicious lines further apart than this are followed around the last of them only.
const LONGEST: Duration = Duration::from_secs(3_600);

/// UUIDs, and values named as an id of a request.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static REQUEST_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b",
        r#"|\b(?:request|req|trace|correlation|transaction|txn|span)[_. -]?id["']?\s*[=:]\s*["']?([A-Za-z0-9_-]{6,64})"#,
    ))
    .expect("valid pattern")
});

/// What a line can share, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RequestId,
    Address,
    User,
    Host,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::RequestId => "request id",
            Kind::Address => "address",
            Kind::User => "user",
            Kind::Host => "host",
        }
    }
}

/// Whether a template is worth following.
pub fn is_suspicious(item: &Item) -> bool {
    !item.rules.is_empty() || item.suspicion >= SUSPICIOUS
}

/// Finds the lines, nearest first, and puts them into the context in order of time.
pub fn find(
    conn: &Connection,
    around: &Surroundings<'_>,
    exhibit: &Exhibit,
    settings: &RelatedSettings,
    context: &mut Context,
) -> Result<(), StoreError> {
    let needles = needles(exhibit);
    let Some((first, last)) = times(exhibit) else { return Ok(()) };
    if needles.is_empty() || settings.max_lines == 0 {
        return Ok(());
    }
    let own = own_streams(exhibit);
    let streams: Vec<StreamId> =
        around.streams.iter().filter(|info| !own.contains(&info.labels)).map(|info| info.id).collect();
    let query = NeedleQuery {
        streams,
        from: first.minus(settings.span),
        to: last.plus(settings.span),
        near: last,
        needles: needles.iter().map(|(_, word)| word.clone()).collect(),
        keep: KEEP,
        max_bytes: settings.max_scan_bytes,
    };
    let found = needle::find(conn, &query)?;
    context.is_cut = !found.is_complete;
    let total = telling(&found, &needles);
    let chosen = choose(&found, &needles, around, exhibit, settings.max_lines);
    context.more_related = total.saturating_sub(chosen.len() as u64);
    context.related = numbered(chosen, exhibit);
    Ok(())
}

/// The words to follow, the most telling first.
fn needles(exhibit: &Exhibit) -> Vec<(Kind, String)> {
    let lines = || {
        let items = exhibit.items.iter().filter(|item| is_suspicious(item)).take(ITEMS_MAX);
        items.flat_map(|item| &item.exemplars).map(|exemplar| exemplar.evidence.line.as_str())
    };
    let drafts = || exhibit.known.iter().map(|known| &known.draft);
    let ids = lines().flat_map(|line| {
        let found = REQUEST_ID.captures_iter(line);
        found.filter_map(|found| found.iter().skip(1).flatten().last().map(|id| id.as_str().to_owned()))
    });
    // Both as they are written in the lines and as findings write them.
    let written = lines().flat_map(|line| {
        let found = addresses(line).into_iter().filter(|found| is_telling(found.ip));
        found.filter_map(|found| line.get(found.range).map(str::to_owned))
    });
    let named = drafts().flat_map(|draft| draft.source_ips.iter().cloned());
    let users = drafts().flat_map(|draft| draft.users.iter().cloned());
    let hosts = std::iter::once(exhibit.group.clone());
    let mut all: Vec<(Kind, String)> = Vec::new();
    let mut take = |kind: Kind, max: usize, words: &mut dyn Iterator<Item = String>| {
        let mut taken = 0;
        for word in words {
            let fits = (3..=128).contains(&word.len()) && !all.iter().any(|(_, known)| *known == word);
            if fits && taken < max {
                all.push((kind, word));
                taken += 1;
            }
        }
    };
    take(Kind::RequestId, IDS_MAX, &mut { ids });
    take(Kind::Address, ADDRESSES_MAX, &mut named.chain(written));
    take(Kind::User, USERS_MAX, &mut { users });
    take(Kind::Host, HOSTS_MAX, &mut { hosts });
    all
}

/// Addresses that are the same on every machine tell nothing.
fn is_telling(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_loopback() || ip.is_unspecified() || is_broadcast)
}

/// First and last time of the suspicious lines.
fn times(exhibit: &Exhibit) -> Option<(Timestamp, Timestamp)> {
    let items = || exhibit.items.iter().filter(|item| is_suspicious(item)).take(ITEMS_MAX);
    let (first, last) = (items().map(|item| item.first).min()?, items().map(|item| item.last).max()?);
    Some((first.max(last.minus(LONGEST)), last))
}

/// The streams the suspicious lines are of: their lines are in the window already.
fn own_streams(exhibit: &Exhibit) -> BTreeSet<&Labels> {
    let items = exhibit.items.iter().filter(|item| is_suspicious(item));
    items.flat_map(|item| &item.exemplars).map(|exemplar| &exemplar.evidence.stream).collect()
}

/// Whether a word says something: names do only when they are rare.
fn is_rare(found: &Needles, needles: &[(Kind, String)], needle: usize) -> bool {
    let count = found.counts.get(needle).copied().unwrap_or(0);
    let kind = needles.get(needle).map(|(kind, _)| *kind);
    count <= COMMON || matches!(kind, Some(Kind::RequestId | Kind::Address))
}

fn telling(found: &Needles, needles: &[(Kind, String)]) -> u64 {
    let counts = found.counts.iter().enumerate().filter(|(at, _)| is_rare(found, needles, *at));
    counts.map(|(_, count)| count).sum()
}

struct Chosen<'a> {
    hit: &'a NeedleHit,
    kind: Kind,
    word: &'a str,
    labels: &'a Labels,
    group: String,
}

/// The lines worth showing: of the window's own group only those outside of the window.
fn choose<'a>(
    found: &'a Needles,
    needles: &'a [(Kind, String)],
    around: &Surroundings<'a>,
    exhibit: &Exhibit,
    limit: usize,
) -> Vec<Chosen<'a>> {
    let is_in_window =
        |at: Timestamp| exhibit.from.is_some_and(|from| from <= at) && exhibit.to.is_some_and(|to| at <= to);
    let streams: FxHashMap<StreamId, &Labels> =
        around.streams.iter().map(|info| (info.id, &info.labels)).collect();
    let mut chosen: Vec<Chosen<'a>> = Vec::new();
    for hit in found.hits.iter().filter(|hit| is_rare(found, needles, hit.needle)) {
        let Some((kind, word)) = needles.get(hit.needle) else { continue };
        let Some(labels) = streams.get(&hit.stream).copied() else { continue };
        let group = group_name(labels, around.group_by);
        if group != exhibit.group || !is_in_window(hit.timestamp) {
            chosen.push(Chosen { hit, kind: *kind, word, labels, group });
        }
    }
    // The most telling words first; of one word the latest lines, which stand nearest to what is asked about.
    chosen.sort_by(|a, b| {
        let key = |c: &Chosen<'_>| (c.hit.needle, std::cmp::Reverse(c.hit.timestamp), c.hit.stream);
        key(a).cmp(&key(b)).then_with(|| a.hit.line.cmp(&b.hit.line))
    });
    chosen.truncate(limit);
    chosen.sort_by_key(|chosen| (chosen.hit.timestamp, chosen.hit.stream));
    chosen
}

/// Gives each line a reference number after those of the window.
fn numbered(chosen: Vec<Chosen<'_>>, exhibit: &Exhibit) -> Vec<Related> {
    let exemplars = exhibit.items.iter().flat_map(|item| &item.exemplars);
    let last = exemplars.map(|exemplar| exemplar.reference).max().unwrap_or(0);
    let numbers = last.saturating_add(1)..;
    let related = |(reference, chosen): (u32, Chosen<'_>)| Related {
        exemplar: Exemplar {
            reference,
            evidence: EvidenceLine {
                stream: chosen.labels.clone(),
                timestamp_ns: chosen.hit.timestamp,
                line: quoted(&chosen.hit.line),
                template: None,
                at: None,
            },
        },
        kind: chosen.kind.as_str(),
        word: chosen.word.to_owned(),
        group: chosen.group,
    };
    numbers.zip(chosen).map(related).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        analyze::ground::testing::{exhibit, item, known},
        model::{Entry, PushBatch, StreamBatch, TenantId},
        store::{Store, StreamInfo},
    };

    const LINE: &str = "Failed password for deploy from 203.0.113.5, req_id=abc-123-def, via 127.0.0.1";

    fn window() -> Exhibit {
        let mut exhibit = exhibit(vec![item(1, LINE)]);
        exhibit.known = vec![known("f", 1, &exhibit)];
        exhibit.known[0].draft.users.insert("deploy".to_owned());
        exhibit.known[0].draft.source_ips.insert("203.0.113.5".to_owned());
        exhibit
    }

    #[test]
    fn ids_addresses_users_and_the_host_are_followed_in_this_order() {
        let words: Vec<_> =
            needles(&window()).into_iter().map(|(kind, word)| (kind.as_str(), word)).collect();
        let expected = [
            ("request id", "abc-123-def"),
            ("address", "203.0.113.5"),
            ("user", "deploy"),
            ("host", "web-1"),
        ];
        assert_eq!(words, expected.map(|(kind, word)| (kind, word.to_owned())));
    }

    #[test]
    fn a_line_full_of_addresses_makes_no_endless_list() {
        let line: String = (0..250).map(|n| format!("203.0.113.{n} ")).collect();
        let uuids: String = (0..50).map(|n| format!("{n:08x}-0000-4000-8000-000000000000 ")).collect();
        let found = needles(&exhibit(vec![item(1, &line), item(2, &uuids)]));
        assert_eq!(found.len(), IDS_MAX + ADDRESSES_MAX + 1);
    }

    #[test]
    fn a_window_of_a_week_is_followed_around_its_end_only() {
        let mut exhibit = window();
        exhibit.items[0].first = Timestamp::from_secs(1_000);
        exhibit.items[0].last = Timestamp::from_secs(700_000);
        assert_eq!(times(&exhibit), Some((Timestamp::from_secs(696_400), Timestamp::from_secs(700_000))));
    }

    struct Bench {
        store: crate::store::testing::TestStore,
        streams: Vec<StreamInfo>,
    }

    /// Stores lines `(job, host, second, line)`; the window of `window()` is from 1,000 to 1,060 s.
    fn stored(lines: &[(&str, &str, i64, String)]) -> Bench {
        let store = crate::store::testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (hash, (job, host, at, line)) in lines.iter().enumerate() {
            rt.block_on(store.append(push(&store, hash, (job, host), (*at, line)))).unwrap();
        }
        let streams = store.streams().of_tenant(&TenantId::single());
        Bench { store, streams }
    }

    fn push(store: &Store, hash: usize, (job, host): (&str, &str), (at, line): (i64, &str)) -> PushBatch {
        let (tenant, received) = (TenantId::single(), crate::store::testing::START);
        let labels = Labels::from_pairs([("job", job), ("host", host)]).unwrap();
        let id = store.streams().admit(&tenant, &labels, 1_000, received).unwrap();
        let line = Bytes::copy_from_slice(line.as_bytes());
        let entries = vec![Entry { timestamp: Timestamp::from_secs(at), line, metadata: Vec::new() }];
        let streams = vec![StreamBatch { id, labels, entries }];
        PushBatch { tenant, received, push_hash: hash as u128, streams }
    }

    fn context(bench: &Bench, settings: &RelatedSettings) -> Context {
        let group_by = ["host".to_owned()];
        let now = crate::store::testing::START;
        let around = Surroundings { tenant: 1, streams: &bench.streams, group_by: &group_by, now };
        let mut context = Context::default();
        bench.store.read_blocking(|conn| find(conn, &around, &window(), settings, &mut context)).unwrap();
        context
    }

    fn shown(context: &Context) -> Vec<(u32, &str, &str)> {
        let related = context.related.iter();
        related.map(|r| (r.exemplar.reference, r.kind, r.exemplar.evidence.line.as_str())).collect()
    }

    #[test]
    fn lines_of_other_hosts_and_earlier_ones_of_other_streams_are_found_and_numbered() {
        let lines = [
            ("nginx", "web-2", 900, "203.0.113.5 GET /wp-login.php"),
            ("nginx", "web-1", 400, "203.0.113.5 GET /.env"),
            ("nginx", "web-1", 1_030, "203.0.113.5 in the window already"),
            ("sshd", "web-1", 990, "203.0.113.5 in the stream itself"),
            ("sshd", "web-3", 1_100, "session opened for user deploy by (uid=0)"),
            ("app", "web-3", 1_020, "done req_id=abc-123-def"),
            ("app", "web-3", 99, "203.0.113.5 too long ago"),
            ("app", "web-3", 1_021, "nothing shared, not even 203.0.113.50"),
        ];
        let bench = stored(&lines.map(|(job, host, at, line)| (job, host, at, line.to_owned())));
        let context = context(&bench, &RelatedSettings::default());
        assert_eq!(
            shown(&context),
            [
                (2, "address", "203.0.113.5 GET /.env"),
                (3, "address", "203.0.113.5 GET /wp-login.php"),
                (4, "request id", "done req_id=abc-123-def"),
                (5, "user", "session opened for user deploy by (uid=0)"),
            ]
        );
        assert_eq!((context.more_related, context.is_cut), (1, false));
        assert_eq!(context.related[1].group, "web-2");
    }

    #[test]
    fn a_name_on_everybodys_lips_is_left_out_and_limits_hold() {
        let mut lines: Vec<_> =
            (0..=COMMON as i64).map(|n| ("cron", "db", 1_000 + n, format!("({n}) user deploy"))).collect();
        lines.push(("nginx", "web-2", 1_000, "203.0.113.5 a".to_owned()));
        lines.push(("nginx", "web-3", 1_001, "203.0.113.5 b".to_owned()));
        let bench = stored(&lines);
        let settings = RelatedSettings::default();
        let all = context(&bench, &settings);
        assert_eq!(shown(&all), [(2, "address", "203.0.113.5 a"), (3, "address", "203.0.113.5 b")]);
        let one = context(&bench, &RelatedSettings { max_lines: 1, ..settings.clone() });
        assert_eq!((shown(&one), one.more_related), (vec![(2, "address", "203.0.113.5 b")], 1));
        let cut = context(&bench, &RelatedSettings { max_scan_bytes: 10, ..settings });
        assert!(cut.is_cut && cut.related.is_empty());
    }
}
