//! Template mining: every message is given the template it is an instance of, online and in bounded memory.
//!
//! Follows Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017):
//! a fixed-depth tree leads to a few candidates, of which the most similar is taken. It departs from Drain where a
//! word is about to become a placeholder: not at the first difference, but when enough templates that differ in
//! nothing else have been seen.
//! A message comes in, a template id, a change event and the message's values go out. Never blocks, never fails.

mod cache;
mod class;
mod colons;
mod context;
mod forest;
mod head;
mod judge;
mod number;
mod persist;
mod quote;
mod scan;
mod skeleton;
mod template;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::AtomicU64},
};

pub use class::Kind;
pub use scan::Value;
pub use template::Template;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::{cache::Cache, forest::Forest, scan::Scratch, skeleton::Skeleton};
use crate::{
    model::{TemplateId, Timestamp},
    store::template::TemplateRow,
};

/// What the operator may set about mining.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Templates kept per tenant; the one unused for longest goes first.
    pub max_templates: usize,
    /// Memory for templates per tenant, in bytes.
    pub max_bytes: usize,
    /// A message is looked at up to here, in bytes.
    pub max_message_bytes: usize,
    /// A message is looked at up to this many words; at most [`MAX_WORDS`].
    pub max_words: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // 10,000 templates of some 600 bytes are 6 MB; real systems have hundreds.
        Settings { max_templates: 10_000, max_bytes: 16 << 20, max_message_bytes: 4096, max_words: 96 }
    }
}

/// Most words a message may be looked at: what a template can hold.
pub const MAX_WORDS: usize = 128;

/// A template's sample is cut to this many bytes.
pub const SAMPLE_MAX: usize = 512;

/// What a message did to its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is the first of its kind.
    New,
    /// Its template had to be widened to take it.
    Widened,
    /// It fits a known template.
    Same,
}

/// What the miner says of a message.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The message's template.
    pub template: TemplateId,
    /// What became of the template.
    pub change: Change,
    /// The message's variable parts, in order; those of its head are not among them.
    pub values: &'a [Value],
    /// How many bytes of the message are the logger's head (time, level, thread, logger), which is not mined.
    pub head: usize,
}

/// Mines the messages of one tenant. Owned by one thread.
pub struct Miner {
    settings: Settings,
    seed: u64,
    scratch: Scratch,
    cache: Cache,
    forest: Forest,
}

impl Miner {
    /// A miner that has seen nothing. New templates take their ids from `ids`, which all miners of a database share.
    pub fn new(settings: &Settings, tenant: i64, ids: Arc<AtomicU64>) -> Self {
        // Seeded against messages made to collide; equal texts stay equal, so results do not depend on it.
        let seed = RandomState::new().hash_one(tenant);
        let settings = Settings { max_words: settings.max_words.clamp(1, MAX_WORDS), ..settings.clone() };
        let forest = Forest::new(settings.clone(), tenant, ids, seed);
        Miner { settings, seed, scratch: Scratch::default(), cache: Cache::default(), forest }
    }

    /// Takes a message (without the wrappers that carried it) and says which template it is an instance of.
    pub fn observe(&mut self, message: &str, at: Timestamp) -> Observation<'_> {
        let message = cut(message, self.settings.max_message_bytes);
        let head = head::length(message);
        scan::scan(message, head, self.settings.max_words, &mut self.scratch);
        let key = xxh3_64_with_seed(&self.scratch.key, self.seed);
        let epoch = self.forest.epoch(self.scratch.words.len());
        let known = self.cache.get(key, epoch).and_then(|index| self.forest.touch(index, at));
        let (index, template, change) = known.unwrap_or_else(|| {
            let skeleton = Skeleton::new(message, head, &self.scratch, self.seed);
            let placed = self.forest.place(skeleton, message, at);
            self.cache.put(key, self.forest.epoch(self.scratch.words.len()), placed.0);
            placed
        });
        self.forest.wild_values(index, &mut self.scratch);
        Observation { template, change, values: &self.scratch.values, head }
    }

    /// The template of this id, or the one it was merged into.
    pub fn template(&self, id: TemplateId) -> Option<&Template> {
        self.forest.get(id)
    }

    /// The id under which `id` is known now: templates may be merged later.
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        self.forest.resolve(id)
    }

    /// Every template, in no particular order.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.forest.iter()
    }

    /// What changed since the last call: rows to write and ids to remove, for one transaction.
    pub fn dirty(&mut self) -> (Vec<TemplateRow>, Vec<TemplateId>) {
        self.forest.dirty()
    }

    /// Takes over what an earlier run has written; goes on exactly as that run would have.
    pub fn restore(&mut self, rows: Vec<TemplateRow>) {
        self.forest.restore(rows);
    }

    /// Takes over that template `id` was merged into `into` by an earlier run.
    pub fn restore_alias(&mut self, id: TemplateId, into: TemplateId) {
        self.forest.alias(id, into);
    }
}

/// What templates are mined from: the message behind the head of an application's line.
pub fn body(message: &str) -> &str {
    message.get(head::length(message)..).unwrap_or(message)
}

/// The first `max` bytes of `text`, cut between characters.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    text.get(..text.floor_char_boundary(max)).unwrap_or("")
}

#[cfg(test)]
mod tests;
