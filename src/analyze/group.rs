//! Groups: the lines of one tenant and host, with the open window and the state carried from window to window.

use std::collections::HashMap;

use crate::{
    analyze::{
        detect::{self, GroupDetect},
        sift::{GroupSift, StreamRules},
        window::OpenWindow,
    },
    model::{Labels, Timestamp},
};

/// A group's name: tenant number and the value of the grouping label.
pub type GroupKey = (i64, String);

/// One group.
#[derive(Default)]
pub struct Group {
    /// Every block up to this one is analysed and committed for this group.
    pub seq: u64,
    /// Rule state carried across windows.
    pub sift: GroupSift,
    /// What the detectors have learnt.
    pub detect: GroupDetect,
    /// The memory that takes, when it was last weighed.
    pub learnt_bytes: usize,
    /// The open window, if lines came since the last one was closed.
    pub window: Option<OpenWindow>,
    /// An urgent finding waits to be written since the arrival of this push.
    pub urgent_since: Option<Timestamp>,
    /// When urgent findings were last written.
    pub urgent_written: Option<Timestamp>,
}

impl Group {
    /// A group that nothing is known of.
    pub fn new(settings: &detect::Settings) -> Self {
        Group { detect: GroupDetect::new(settings), ..Group::default() }
    }
}

/// The groups in memory, by name. Senders choose the names, so there is a limit to them.
#[derive(Default)]
pub struct Groups {
    by_name: HashMap<GroupKey, Group>,
}

impl Groups {
    /// The group of this name; a new one is made.
    pub fn get_or_new(&mut self, key: &GroupKey, settings: &detect::Settings) -> &mut Group {
        self.by_name.entry(key.clone()).or_insert_with(|| Group::new(settings))
    }

    /// The group of this name.
    pub fn get_mut(&mut self, key: &GroupKey) -> Option<&mut Group> {
        self.by_name.get_mut(key)
    }

    /// The group of this name.
    pub fn get(&self, key: &GroupKey) -> Option<&Group> {
        self.by_name.get(key)
    }

    /// Takes a group over.
    pub fn insert(&mut self, key: GroupKey, group: Group) {
        self.by_name.insert(key, group);
    }

    /// Gives a group up.
    pub fn remove(&mut self, key: &GroupKey) {
        self.by_name.remove(key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Makes room when there are more than `max`, or when what was learnt of them takes more than `max_bytes`: gives up
    /// those without an open window that were silent for longest, and a few more than needed, so that this is not done
    /// for each new name.
    pub fn evict(&mut self, max: usize, max_bytes: usize) {
        let mut bytes: usize = self.values().map(|group| group.learnt_bytes).sum();
        if self.len() <= max && bytes <= max_bytes {
            return;
        }
        let idle = self.by_name.iter().filter(|(_, group)| group.window.is_none());
        let mut idle: Vec<(u64, GroupKey, usize)> =
            idle.map(|(key, group)| (group.seq, key.clone(), group.learnt_bytes)).collect();
        idle.sort_unstable();
        for (_, key, learnt) in idle {
            if self.len() <= max - max / 16 && bytes <= max_bytes - max_bytes / 16 {
                break;
            }
            self.by_name.remove(&key);
            bytes = bytes.saturating_sub(learnt);
        }
    }

    /// Every group with its name, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        self.by_name.iter()
    }

    /// Every group with its name, to be changed; in no particular order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&GroupKey, &mut Group)> {
        self.by_name.iter_mut()
    }

    /// Every group, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values()
    }
}

impl FromIterator<(GroupKey, Group)> for Groups {
    fn from_iter<I: IntoIterator<Item = (GroupKey, Group)>>(groups: I) -> Self {
        Groups { by_name: groups.into_iter().collect() }
    }
}

/// What every line of one stream has in common.
pub struct StreamContext {
    /// The tenant's number.
    pub tenant: i64,
    /// The label set.
    pub labels: Labels,
    /// Which group its lines belong to.
    pub group: GroupKey,
    /// The rules that apply to it.
    pub rules: StreamRules,
    /// Whether its lines are messages as they are, without anything around them to be taken off.
    pub is_bare: bool,
}

/// The group of a label set: the first grouping label it has, or the tenant's common group.
pub fn group_name(labels: &Labels, group_by: &[String]) -> String {
    group_by.iter().find_map(|name| labels.get(name)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> GroupKey {
        (1, name.to_owned())
    }

    #[test]
    fn groups_silent_for_longest_are_given_up_and_open_windows_never() {
        let mut groups = Groups::default();
        for n in 0..40_u64 {
            let group = groups.get_or_new(&key(&format!("h{n}")), &detect::Settings::default());
            group.seq = n;
            group.window = (n == 3).then(|| OpenWindow::open(n, Timestamp::default()));
        }
        groups.evict(40, usize::MAX);
        assert_eq!(groups.len(), 40, "as many as are allowed");
        groups.evict(32, usize::MAX);
        assert_eq!(groups.len(), 30, "a sixteenth below the limit");
        for (name, is_kept) in [("h0", false), ("h3", true), ("h10", false), ("h11", true), ("h39", true)] {
            assert_eq!(groups.get(&key(name)).is_some(), is_kept, "{name}");
        }
    }
}
