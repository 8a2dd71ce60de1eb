//! Which words of a window ask for notes.

use std::collections::BTreeSet;

use super::related::is_suspicious;
use crate::{analyze::exhibit::Exhibit, store::note::NoteQuery};

/// Labels whose values name a service.
const SERVICE_LABELS: [&str; 10] = [
    "service_name",
    "service",
    "job",
    "app",
    "application",
    "unit",
    "container",
    "container_name",
    "component",
    "syslog_identifier",
];
/// Templates whose words ask, the most suspicious first.
const ITEMS_MAX: usize = 20;
/// Words taken of them, and the shortest that means something.
const WORDS_MAX: usize = 40;
const WORD_MIN: usize = 4;
/// Names of each kind per finding.
const NAMES_MAX: usize = 8;
/// Words of every log.
const COMMON: [&str; 16] = [
    "error", "errors", "failed", "failure", "from", "info", "line", "message", "port", "user", "warn",
    "warning", "with", "this", "that", "time",
];

/// The question for notes about a window.
pub fn query(tenant: i64, exhibit: &Exhibit, limit: usize) -> NoteQuery {
    let mut query = NoteQuery { tenant, limit, ..NoteQuery::default() };
    query.names.insert(exhibit.group.clone());
    for draft in exhibit.known.iter().map(|known| &known.draft) {
        let names = draft.affected_service.iter().chain(draft.hosts.iter().take(NAMES_MAX));
        let names =
            names.chain(draft.users.iter().take(NAMES_MAX)).chain(draft.source_ips.iter().take(NAMES_MAX));
        query.names.extend(names.cloned());
        query.names.insert(draft.category.as_str().to_owned());
        words(&draft.title, &mut query.words);
    }
    for item in exhibit.items.iter().filter(|item| is_suspicious(item)).take(ITEMS_MAX) {
        let streams = item.exemplars.iter().map(|exemplar| &exemplar.evidence.stream);
        let services = streams.flat_map(|labels| SERVICE_LABELS.iter().filter_map(|name| labels.get(name)));
        query.names.extend(services.map(str::to_owned));
        words(&item.template, &mut query.words);
    }
    query
}

fn words(text: &str, words: &mut BTreeSet<String>) {
    let candidates = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    for word in candidates {
        if words.len() >= WORDS_MAX {
            return;
        }
        let is_telling = word.chars().count() >= WORD_MIN || !word.is_ascii();
        if is_telling && word.chars().any(char::is_alphabetic) && !COMMON.contains(&word.as_str()) {
            words.insert(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::ground::testing::{exhibit, item, known};

    #[test]
    fn services_hosts_addresses_and_categories_are_names_and_templates_give_words() {
        let mut suspicious = item(1, "x");
        suspicious.template = "Failed password for <*> from <ip> port <num> with 错误".to_owned();
        suspicious.rules = vec!["high".to_owned()];
        let mut harmless = item(2, "y");
        (harmless.template, harmless.suspicion) = ("session opened quietly".to_owned(), 0.0);
        let mut exhibit = exhibit(vec![suspicious, harmless]);
        exhibit.known = vec![known("f", 1, &exhibit)];
        exhibit.known[0].draft.source_ips.insert("203.0.113.5".to_owned());
        let query = query(7, &exhibit, 3);
        let shown = |terms: &BTreeSet<String>| terms.iter().cloned().collect::<Vec<_>>().join("|");
        assert_eq!(shown(&query.names), "203.0.113.5|brute_force|sshd|web-1");
        assert_eq!(shown(&query.words), "guessing|password|错误");
        assert_eq!((query.tenant, query.limit), (7, 3));
    }
}
