//! From a message's key straight to its template. Only a shortcut: a hit says what the forest would have said.

/// Entries at most; two megabytes.
const ENTRIES_MAX: usize = 1 << 16;
const ENTRIES_MIN: usize = 1 << 9;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    epoch: u32,
    index: Index,
}

/// A template's place in the forest and the number of that place's tenant (places are used again).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) place: u32,
    pub(super) id: u64,
}

/// A direct-mapped table that grows while it is filled and never beyond its limit.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    filled: usize,
}

impl Cache {
    /// The template under `key`, unless the forest has changed since in a way that matters (`epoch`).
    pub(super) fn get(&self, key: u64, epoch: u32) -> Option<Index> {
        let entry = self.entries.get(self.slot(key))?;
        (entry.key == key && entry.epoch == epoch).then_some(entry.index)
    }

    /// Remembers; whoever was in the same place is forgotten.
    pub(super) fn put(&mut self, key: u64, epoch: u32, index: Index) {
        if self.filled * 2 >= self.entries.len() && self.entries.len() < ENTRIES_MAX {
            self.grow();
        }
        let slot = self.slot(key);
        if let Some(entry) = self.entries.get_mut(slot) {
            self.filled += usize::from(entry.epoch == 0);
            *entry = Entry { key, epoch, index };
        }
    }

    fn slot(&self, key: u64) -> usize {
        (key as usize) & self.entries.len().wrapping_sub(1)
    }

    fn grow(&mut self) {
        let size = (self.entries.len() * 4).clamp(ENTRIES_MIN, ENTRIES_MAX);
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        self.filled = 0;
        for entry in old.into_iter().filter(|entry| entry.epoch != 0) {
            let slot = self.slot(entry.key);
            if let Some(new) = self.entries.get_mut(slot) {
                self.filled += usize::from(new.epoch == 0);
                *new = entry;
            }
        }
    }
}
