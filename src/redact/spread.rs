//! Secrets that one text of an exhibit gave away, masked wherever else they stand: a password typed as a user name has
//! no telling word before it, but the line that shows it as a password does.

use std::{collections::BTreeSet, net::IpAddr};

use aho_corasick::{AhoCorasick, MatchKind};

use super::{Hit, pattern::SECRET};

/// Shorter values are too often part of harmless words.
const SHORTEST: usize = 6;
/// Values kept; an exhibit has a few hundred lines, and few of them hold a secret.
const VALUES_MAX: usize = 2_000;
/// Longest value searched for; a longer one (a whole key) is recognised by its form wherever it stands.
const LONGEST: usize = 512;

/// Values known to be secret.
#[derive(Debug, Default)]
pub struct Spread {
    values: BTreeSet<String>,
    search: Option<AhoCorasick>,
}

impl Spread {
    /// Adds values. Addresses are never taken: `password=203.0.113.5` must not hide where an attack came from.
    pub fn learn(&mut self, values: impl IntoIterator<Item = String>) {
        let before = self.values.len();
        for value in values {
            let fits = (SHORTEST..=LONGEST).contains(&value.len());
            if fits && self.values.len() < VALUES_MAX && value.parse::<IpAddr>().is_err() {
                self.values.insert(value);
            }
        }
        if self.values.len() > before {
            let builder = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .ascii_case_insensitive(true)
                .build(&self.values);
            // A million bytes of values cannot exceed the limits of the search; without it nothing more is masked.
            self.search = builder.ok();
        }
    }

    /// Where they stand in a text.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        let Some(search) = &self.search else { return Vec::new() };
        search.find_iter(text).map(|found| Hit { range: found.range(), mask: SECRET }).collect()
    }
}
