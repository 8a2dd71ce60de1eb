//! The templates of a tenant, found by their glue and their first or last word.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHashMap;

use super::{
    Change, SAMPLE_MAX, Settings,
    cache::Index,
    class::Kind,
    cut,
    scan::{Scratch, Value},
    skeleton::{Part, SLOT, Skeleton, WILD},
    template::{Difference, Template},
};
use crate::{
    model::{TemplateId, Timestamp},
    store::template::TemplateRow,
};

pub(super) type Placed = (Index, TemplateId, Change);

pub(super) struct Forest {
    settings: Settings,
    tenant: i64,
    ids: Arc<AtomicU64>,
    seed: u64,
    places: Vec<Option<Template>>,
    free: Vec<u32>,
    by_id: FxHashMap<TemplateId, u32>,
    /// Places by leaf, in the order of their ids. The keys are seeded hashes.
    leaves: FxHashMap<u64, Vec<u32>>,
    merged: BTreeMap<TemplateId, TemplateId>,
    /// By word count: how often the templates of that length were widened; starts at 1.
    epochs: Vec<u32>,
    clock: u64,
    bytes: usize,
    dirty: Vec<TemplateId>,
    gone: Vec<TemplateId>,
    differences: Vec<(Difference, u32)>,
    candidates: Vec<u32>,
}

/// With more candidates than this, words become placeholders at the second sight if half of the message is equal.
const CROWDED: usize = 48;
/// With more candidates than this, one equal word is enough.
const OVERCROWDED: usize = 128;
/// Names in capitals are states: so many must have been seen before they are taken for a value.
const FIRM: usize = 24;
/// Templates in a leaf at most; bounds the work of one message. The one unused for longest goes.
const LEAF_MAX: usize = 256;

impl Forest {
    pub(super) fn new(settings: Settings, tenant: i64, ids: Arc<AtomicU64>, seed: u64) -> Self {
        let epochs = vec![1; settings.max_words + 1];
        Forest {
            settings,
            tenant,
            ids,
            seed,
            places: Vec::new(),
            free: Vec::new(),
            by_id: FxHashMap::default(),
            leaves: FxHashMap::default(),
            merged: BTreeMap::new(),
            epochs,
            clock: 0,
            bytes: 0,
            dirty: Vec::new(),
            gone: Vec::new(),
            differences: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Where new ids come from.
    #[cfg(test)]
    pub(super) fn ids(&self) -> &Arc<AtomicU64> {
        &self.ids
    }

    /// Changes whenever a template of `words` words was widened.
    pub(super) fn epoch(&self, words: usize) -> u32 {
        self.epochs.get(words).copied().unwrap_or(1)
    }

    /// Counts a message for a template known to fit; `None` if the template is gone.
    pub(super) fn touch(&mut self, index: Index, at: Timestamp) -> Option<Placed> {
        let template = self.places.get_mut(index.place as usize)?.as_mut()?;
        if template.id.0 != index.id {
            return None;
        }
        self.clock += 1;
        template.count += 1;
        template.stamp = self.clock;
        template.first_seen = template.first_seen.min(at);
        template.last_seen = template.last_seen.max(at);
        if !template.is_dirty {
            template.is_dirty = true;
            self.dirty.push(template.id);
        }
        Some((index, template.id, Change::Same))
    }

    /// Finds or makes the template of a message.
    pub(super) fn place(&mut self, skeleton: Skeleton, message: &str, at: Timestamp) -> Placed {
        self.gather(&skeleton);
        if let Some(place) = self.best_fit() {
            return self.take(place, &skeleton, at);
        }
        if let Some((mask, family)) = self.family(&skeleton) {
            return self.merge(mask, &family, &skeleton, at);
        }
        self.insert(skeleton, message, at)
    }

    fn gather(&mut self, skeleton: &Skeleton) {
        let (first, last) = ends(skeleton);
        self.candidates.clear();
        for key in [leaf(skeleton, 0, first), leaf(skeleton, 1, last), leaf(skeleton, 0, WILD)] {
            if let Some(places) = self.leaves.get(&key) {
                self.candidates.extend_from_slice(places);
            }
        }
        self.candidates.sort_unstable();
        self.candidates.dedup();
        self.differences.clear();
        for place in &self.candidates {
            if let Some(Some(template)) = self.places.get(*place as usize)
                && let Some(difference) = template.compare(skeleton)
            {
                self.differences.push((difference, *place));
            }
        }
    }

    /// The most specific template that fits as it is.
    fn best_fit(&self) -> Option<u32> {
        let fitting = self.differences.iter().filter(|(difference, _)| difference.mask == 0);
        fitting
            .min_by_key(|(difference, place)| (std::cmp::Reverse(difference.asked), self.id_at(*place)))
            .map(|(_, place)| *place)
    }

    /// The templates that differ from the message, and from each other, in the same few words and are enough of them.
    fn family(&mut self, _skeleton: &Skeleton) -> Option<(u128, Vec<u32>)> {
        let crowd = self.candidates.len();
        let mut found = std::mem::take(&mut self.differences);
        found.retain(|(difference, _)| needed(difference, crowd).is_some());
        found.sort_unstable_by_key(|(difference, place)| {
            (difference.firm, difference.strong, difference.weak, difference.mask, self.id_at(*place))
        });
        let family = found.chunk_by(|(a, _), (b, _)| a.mask == b.mask).find_map(|group| {
            let (difference, _) = group.first()?;
            let needed = group.iter().filter_map(|(d, _)| needed(d, crowd)).min()?;
            (group.len() + 1 >= needed).then(|| (difference.mask, group.iter().map(|(_, p)| *p).collect()))
        });
        self.differences = found;
        family
    }

    fn take(&mut self, place: u32, skeleton: &Skeleton, at: Timestamp) -> Placed {
        let change = if self.reshape(place, skeleton) { Change::Widened } else { Change::Same };
        let index = Index { place, id: self.id_at(place).0 };
        match self.touch(index, at) {
            Some((index, id, _)) => (index, id, change),
            None => (index, TemplateId(index.id), change),
        }
    }

    /// Lets the slots of a template look like anything where the message's look different; says whether any did.
    fn reshape(&mut self, place: u32, skeleton: &Skeleton) -> bool {
        let Some(Some(template)) = self.places.get_mut(place as usize) else { return false };
        let Some(text) = template.skeleton.with_shapes_of(skeleton) else { return false };
        self.bytes = self.bytes.saturating_sub(template.bytes());
        template.skeleton = text;
        template.text = template.skeleton.render();
        self.bytes += template.bytes();
        true
    }

    fn merge(&mut self, mask: u128, family: &[u32], skeleton: &Skeleton, at: Timestamp) -> Placed {
        let Some(survivor) = family.iter().copied().min_by_key(|place| self.id_at(*place)) else {
            return self.insert(skeleton.clone(), "", at);
        };
        self.unlink(survivor);
        if let Some(Some(template)) = self.places.get_mut(survivor as usize) {
            template.widen(mask);
            template.text = template.skeleton.render();
        }
        self.link(survivor);
        let covered: Vec<u32> = match self.places.get(survivor as usize) {
            Some(Some(template)) => {
                let is_covered = |place: &&u32| {
                    **place != survivor
                        && matches!(self.places.get(**place as usize), Some(Some(other)) if template.covers(other))
                };
                self.candidates.iter().filter(is_covered).copied().collect()
            }
            _ => Vec::new(),
        };
        let mut covered = covered;
        covered.sort_unstable_by_key(|place| self.id_at(*place));
        for place in covered {
            self.absorb(survivor, place);
        }
        if let Some(epoch) = self.epochs.get_mut(skeleton.pieces.len()) {
            *epoch = epoch.wrapping_add(1).max(1);
        }
        let (index, id, _) = self.take(survivor, skeleton, at);
        self.thin(survivor);
        (index, id, Change::Widened)
    }

    /// Moves all that is known of one template to another.
    fn absorb(&mut self, survivor: u32, place: u32) {
        let Some(other) = self.remove(place) else { return };
        self.reshape(survivor, &other.skeleton);
        if let Some(Some(template)) = self.places.get_mut(survivor as usize) {
            template.count += other.count;
            template.first_seen = template.first_seen.min(other.first_seen);
            template.last_seen = template.last_seen.max(other.last_seen);
            template.stamp = template.stamp.max(other.stamp);
            let into = template.id;
            self.alias(other.id, into);
        }
    }

    /// Remembers what a template was merged into. Only into an older one, so that following it comes to an end.
    pub(super) fn alias(&mut self, id: TemplateId, into: TemplateId) {
        if into < id {
            self.merged.insert(id, into);
        }
        while self.merged.len() > self.settings.max_templates.saturating_mul(4) {
            self.merged.pop_first();
        }
    }

    fn insert(&mut self, skeleton: Skeleton, message: &str, at: Timestamp) -> Placed {
        self.clock += 1;
        let id = TemplateId(self.ids.fetch_add(1, Ordering::Relaxed));
        let template = Template {
            id,
            text: skeleton.render(),
            sample: cut(message, SAMPLE_MAX).to_owned(),
            count: 1,
            first_seen: at,
            last_seen: at,
            skeleton,
            has_wild: false,
            stamp: self.clock,
            is_dirty: true,
        };
        self.dirty.push(id);
        let place = self.add(template);
        self.thin(place);
        self.evict();
        (Index { place, id: id.0 }, id, Change::New)
    }

    fn add(&mut self, template: Template) -> u32 {
        self.bytes += template.bytes();
        let id = template.id;
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.places.get_mut(place as usize) {
                    *slot = Some(template);
                }
                place
            }
            None => {
                self.places.push(Some(template));
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_id.insert(id, place);
        self.link(place);
        place
    }

    fn remove(&mut self, place: u32) -> Option<Template> {
        self.unlink(place);
        let template = self.places.get_mut(place as usize)?.take()?;
        self.bytes = self.bytes.saturating_sub(template.bytes());
        self.by_id.remove(&template.id);
        self.free.push(place);
        self.gone.push(template.id);
        Some(template)
    }

    /// Keeps the leaves of `place` within their limit.
    fn thin(&mut self, place: u32) {
        let Some(template) = self.at(place) else { return };
        for key in template.leaf_keys() {
            let Some(leaf) = self.leaves.get(&key).filter(|leaf| leaf.len() > LEAF_MAX) else { continue };
            let stamp = |other: &u32| self.at(*other).map_or(0, |template| template.stamp);
            let oldest = leaf.iter().copied().filter(|other| *other != place).min_by_key(stamp);
            if let Some(oldest) = oldest {
                self.remove(oldest);
            }
        }
    }

    /// Keeps within the limits: the templates unused for longest go, a sixteenth at a time.
    fn evict(&mut self) {
        let count = self.by_id.len();
        if count <= self.settings.max_templates.max(1) && self.bytes <= self.settings.max_bytes {
            return;
        }
        let mut old: Vec<(u64, u32)> =
            self.by_id.values().filter_map(|place| Some((self.at(*place)?.stamp, *place))).collect();
        old.sort_unstable();
        let newest = old.pop();
        let mut quota = count / 16 + 1;
        for (_, place) in old {
            if quota == 0 && self.bytes <= self.settings.max_bytes {
                break;
            }
            quota = quota.saturating_sub(1);
            self.remove(place);
        }
        debug_assert!(newest.is_some());
    }

    fn link(&mut self, place: u32) {
        let Some(template) = self.at(place) else { return };
        let id = template.id;
        for key in template.leaf_keys() {
            let leaf = self.leaves.entry(key).or_default();
            let at = leaf.partition_point(|other| {
                self.places.get(*other as usize).and_then(Option::as_ref).is_some_and(|t| t.id < id)
            });
            leaf.insert(at, place);
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(template) = self.at(place) else { return };
        for key in template.leaf_keys() {
            if let Some(leaf) = self.leaves.get_mut(&key) {
                leaf.retain(|other| *other != place);
                if leaf.is_empty() {
                    self.leaves.remove(&key);
                }
            }
        }
    }

    fn at(&self, place: u32) -> Option<&Template> {
        self.places.get(place as usize)?.as_ref()
    }

    fn id_at(&self, place: u32) -> TemplateId {
        self.at(place).map_or(TemplateId(u64::MAX), |template| template.id)
    }

    /// Adds the words that the template lets vary to the values of the message last scanned.
    pub(super) fn wild_values(&self, index: Index, scratch: &mut Scratch) {
        let Some(template) = self.at(index.place) else { return };
        if !template.has_wild {
            return;
        }
        for (slot, (piece, word)) in template.skeleton.pieces.iter().zip(&scratch.words).enumerate() {
            if piece.part == Part::Wild && word.role != super::scan::Role::Slot {
                scratch.values.push(Value::new(slot, Kind::Word, word.start as usize, word.end as usize));
            }
        }
        scratch.values.sort_by_key(|value| value.slot);
    }

    pub(super) fn resolve(&self, id: TemplateId) -> TemplateId {
        let mut id = id;
        // A template is merged into an older one, so the walk goes down and ends.
        while let Some(into) = self.merged.get(&id) {
            id = *into;
        }
        id
    }

    pub(super) fn get(&self, id: TemplateId) -> Option<&Template> {
        self.at(*self.by_id.get(&self.resolve(id))?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Template> {
        self.places.iter().flatten()
    }

    pub(super) fn dirty(&mut self) -> (Vec<TemplateRow>, Vec<TemplateId>) {
        let mut rows = Vec::with_capacity(self.dirty.len());
        for id in std::mem::take(&mut self.dirty) {
            let Some(place) = self.by_id.get(&id) else { continue };
            if let Some(Some(template)) = self.places.get_mut(*place as usize) {
                template.is_dirty = false;
                rows.push(super::persist::row(template, self.tenant));
            }
        }
        (rows, std::mem::take(&mut self.gone))
    }

    pub(super) fn restore(&mut self, rows: Vec<TemplateRow>) {
        let tenant = self.tenant;
        for row in rows.into_iter().filter(|row| row.tenant == tenant) {
            self.ids.fetch_max(row.id.0 + 1, Ordering::Relaxed);
            let Some(template) = super::persist::template(row, self.seed) else { continue };
            self.clock = self.clock.max(template.stamp);
            self.add(template);
        }
    }
}

/// How many templates must differ in the same words before those words are a placeholder; `None` if never.
fn needed(difference: &Difference, crowd: usize) -> Option<usize> {
    if difference.equal == 0 {
        return None;
    }
    if difference.firm > 0 {
        return (difference.firm + difference.strong <= difference.equal).then_some(FIRM);
    }
    if difference.strong == 0 {
        return (difference.weak <= difference.equal * 2).then_some(2);
    }
    if crowd > OVERCROWDED {
        return Some(2);
    }
    if crowd > CROWDED {
        return (difference.strong <= difference.equal).then_some(2);
    }
    (difference.strong * 2 <= difference.equal).then_some(4)
}

fn ends(skeleton: &Skeleton) -> (u64, u64) {
    let hash = |piece: Option<&super::skeleton::Piece>| piece.map_or(SLOT, |piece| piece.hash);
    (hash(skeleton.pieces.first()), hash(skeleton.pieces.last()))
}

/// The leaf of skeletons with this glue, length and first (`end` 0) or last (`end` 1) word.
fn leaf(skeleton: &Skeleton, end: u64, word: u64) -> u64 {
    let mut hash = skeleton.glue ^ (skeleton.pieces.len() as u64).rotate_left(56) ^ end.rotate_left(48);
    hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}

impl Template {
    fn leaf_keys(&self) -> [u64; 2] {
        let (first, last) = ends(&self.skeleton);
        [leaf(&self.skeleton, 0, first), leaf(&self.skeleton, 1, last)]
    }
}
