//! Facts in a model's text, and whether the cited lines show them.

use std::{collections::HashSet, net::IpAddr, sync::LazyLock};

use regex::Regex;

use super::{Cited, Exhibit, Known};
use crate::redact::{Redactor, Settings, addresses};

/// Paths with at least two parts, links, quoted words, and numbers with at least two digits.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static FACT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?P<link>(?i)\b(?:https?|ftp)://[^\s"'‹›)]+|\bwww\.[^\s"'‹›)]+)"#,
        r#"|(?P<path>(?:^|[\s"'(=:`])(/[\w.@%+-]+(?:/[\w.@%+*-]*)+))"#,
        r#"|(?P<quote>["“「`]([^"”」`]{2,200})["”」`]|(?:^|\s)'([^']{2,200})')"#,
        r"|(?P<number>\d[\d,.]*\d)",
    ))
    .expect("valid pattern")
});

/// Everything the cited lines say, against which statements are held.
pub struct Proof {
    /// Lower-cased text of lines, templates, labels and, for a known finding, the rule's own words.
    corpus: String,
    ips: HashSet<IpAddr>,
    /// Numbers that are counts of the digest rather than text of a line.
    counts: HashSet<u64>,
}

impl Proof {
    /// Collects what the cited lines (and the known finding's own) show.
    pub fn new(cited: &Cited<'_>, known: Option<&Known>, exhibit: &Exhibit) -> Self {
        let mut corpus = exhibit.group.clone();
        let mut counts =
            HashSet::from([exhibit.lines, exhibit.suspicious, exhibit.templates, cited.len() as u64]);
        let mut add = |text: &str| {
            corpus.push('\n');
            corpus.push_str(text);
        };
        for super::CitedLine { item, exemplar, group } in cited {
            add(&exemplar.evidence.line);
            add(&exemplar.evidence.stream.to_string());
            group.iter().for_each(|group| add(group));
            let Some(item) = item else { continue };
            add(&item.template);
            counts.extend([item.count, item.more_values + item.values.len() as u64]);
            for (value, count) in &item.values {
                add(value);
                counts.insert(*count);
            }
        }
        let items: HashSet<*const super::Item> =
            cited.iter().filter_map(|cited| cited.item).map(std::ptr::from_ref).collect();
        let all = exhibit.items.iter().filter(|item| items.contains(&std::ptr::from_ref(*item)));
        counts.insert(all.map(|item| item.count).sum());
        if let Some(draft) = known.map(|known| &known.draft) {
            for text in
                [&draft.title, &draft.summary].into_iter().chain(&draft.users).chain(&draft.source_ips)
            {
                add(text);
            }
            for line in &draft.evidence {
                add(&line.line);
                add(&line.stream.to_string());
            }
            counts.insert(draft.count);
        }
        // The model saw masks where secrets stood.
        let masked = Redactor::new(Settings::default()).redact(&corpus);
        let ips = addresses(&corpus).into_iter().map(|found| found.ip).collect();
        Proof { corpus: format!("{corpus}\n{masked}").to_lowercase(), ips, counts }
    }

    /// Whether every fact in the text is shown.
    pub fn holds(&self, text: &str) -> bool {
        self.holds_addresses(text) && self.facts_hold(text)
    }

    /// Whether every address and link in the text is shown.
    pub fn holds_addresses(&self, text: &str) -> bool {
        let links = FACT.captures_iter(text).filter_map(|found| found.name("link"));
        addresses(text).iter().all(|found| self.ips.contains(&found.ip))
            && links
                .into_iter()
                .all(|link| self.contains(link.as_str().trim_end_matches(['.', ',', ';', ':'])))
    }

    /// Whether this is an address that is shown.
    pub fn holds_ip(&self, text: &str) -> bool {
        text.parse().is_ok_and(|ip| self.ips.contains(&ip))
    }

    /// Whether this word is shown, not merely as a part of another.
    pub fn holds_word(&self, text: &str) -> bool {
        let word = text.trim().to_lowercase();
        let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !word.is_empty()
            && self.corpus.match_indices(&word).any(|(at, _)| {
                let before = self.corpus.get(..at).and_then(|head| head.chars().next_back());
                let after = self.corpus.get(at + word.len()..).and_then(|tail| tail.chars().next());
                !is_part(before) && !is_part(after)
            })
    }

    fn contains(&self, text: &str) -> bool {
        // Angle brackets were replaced when the text was cleaned.
        self.corpus.contains(&text.replace('‹', "<").replace('›', ">").to_lowercase())
    }

    fn facts_hold(&self, text: &str) -> bool {
        let mut without_ips = text.to_owned();
        for found in addresses(text).into_iter().rev() {
            without_ips.replace_range(found.range, "_");
        }
        FACT.captures_iter(&without_ips).all(|found| {
            if let Some(number) = found.name("number") {
                return self.holds_number(&without_ips, number.start(), number.as_str());
            }
            let part = found.iter().skip(1).flatten().last().map_or("", |part| part.as_str());
            self.contains(part.trim().trim_end_matches(['.', ',', ';', ':']))
        })
    }

    /// A number stands in the lines, is one of the digest's counts, or belongs to a reference like `L12`.
    fn holds_number(&self, text: &str, start: usize, number: &str) -> bool {
        let before = text.get(..start).and_then(|head| head.chars().next_back());
        let plain = number.replace(',', "");
        matches!(before, Some('L' | 'K'))
            || plain.parse().is_ok_and(|count: u64| self.counts.contains(&count))
            || self.holds_word(number)
            || self.holds_word(&plain)
    }
}
