//! The only maker of [`Redacted`], the only kind of text that may leave the process.
//!
//! In: raw log text. Out: the same text with secrets replaced by typed masks (`[secret]`, `[email]`, …) and, where
//! wanted, addresses replaced by pseudonyms that a [`Session`] can turn back. No I/O; never panics on any input.

mod address;
mod card;
mod pair;
mod pattern;
mod redacted;
mod session;
mod spread;
mod view;

pub use address::{Found, addresses};
pub use redacted::Redacted;
pub use session::Session;
pub use view::without_invisible;

use std::ops::Range;

use spread::Spread;
use view::View;

/// What the operator may set about redaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Replace IP addresses by pseudonyms that are turned back in the answer.
    pub pseudonymise_ips: bool,
}

impl Default for Settings {
    /// Secrets are always masked; addresses are needed to judge and stay unless told otherwise.
    fn default() -> Self {
        Settings { pseudonymise_ips: false }
    }
}

/// A stretch of text to be replaced by a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    range: Range<usize>,
    mask: &'static str,
}

/// Masks secrets. Cheap to clone and to make.
#[derive(Clone, Copy, Debug)]
pub struct Redactor {
    masks: bool,
    pseudonyms: bool,
}

impl Redactor {
    /// A redactor for text that leaves the machine.
    pub fn new(settings: Settings) -> Self {
        Redactor { masks: true, pseudonyms: settings.pseudonymise_ips }
    }

    /// A redactor that masks nothing, for a model on this very machine when the operator has asked for it.
    /// Invisible characters are still removed.
    pub fn for_local_model() -> Self {
        Redactor { masks: false, pseudonyms: false }
    }

    /// Masks one text. Addresses stay; pseudonyms need a [`Session`].
    pub fn redact(&self, text: &str) -> Redacted {
        self.redact_also(text, &Spread::default())
    }

    /// Masks one text, and what other texts have shown to be secret.
    fn redact_also(&self, text: &str, known: &Spread) -> Redacted {
        let visible = without_invisible(text);
        if !self.masks {
            return Redacted::trusted(visible);
        }
        let mut found = hits(&visible);
        found.extend(known.find(&visible));
        Redacted::trusted(replace(&visible, &merged(found)))
    }

    /// The secrets in a text as they are written there, and as they read once decoded.
    fn secrets(&self, text: &str) -> Vec<String> {
        if !self.masks {
            return Vec::new();
        }
        let visible = without_invisible(text);
        let values = |text: &str| -> Vec<String> {
            let found = merged(hits_as_written(text)).into_iter().filter(|hit| hit.mask != pattern::EMAIL);
            found.filter_map(|hit| text.get(hit.range).map(str::to_owned)).collect()
        };
        let mut secrets = values(&visible);
        if let Some(view) = View::decoded(&visible) {
            secrets.extend(values(view.text()));
        }
        secrets
    }

    /// Starts a session whose pseudonyms are consistent for as long as it lives.
    pub fn session(&self) -> Session {
        Session::new(*self)
    }

    /// Whether sessions replace addresses.
    fn pseudonymises(self) -> bool {
        self.pseudonyms
    }
}

/// Everything to be masked, in order and without overlaps.
fn hits(text: &str) -> Vec<Hit> {
    let mut found = hits_as_written(text);
    // The same text with %xx, \xXX, \uXXXX and full-width letters decoded: encoding a secret does not hide it.
    if let Some(view) = View::decoded(text) {
        found.extend(
            hits_as_written(view.text()).into_iter().map(|hit| Hit { range: view.origin(hit.range), ..hit }),
        );
    }
    merged(found)
}

fn hits_as_written(text: &str) -> Vec<Hit> {
    let mut found = pattern::find(text);
    found.extend(pair::find(text));
    found.extend(card::find(text));
    found
}

/// Joins overlapping hits; the one that starts first (the longer one, when they start together) names the mask.
fn merged(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.retain(|hit| !hit.range.is_empty());
    hits.sort_by_key(|hit| (hit.range.start, usize::MAX - hit.range.end));
    let mut joined: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match joined.last_mut() {
            Some(last) if hit.range.start < last.range.end => {
                last.range.end = last.range.end.max(hit.range.end);
            }
            _ => joined.push(hit),
        }
    }
    joined
}

fn replace(text: &str, hits: &[Hit]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for hit in hits {
        out.push_str(text.get(at..hit.range.start).unwrap_or_default());
        out.push_str(hit.mask);
        at = hit.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
