//! Groups: the lines of one tenant and host, with the open window and the state carried from window to window.

use std::collections::HashMap;

use crate::{
    analyze::{
        detect::GroupDetect,
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
    /// The open window, if lines came since the last one was closed.
    pub window: Option<OpenWindow>,
    /// An urgent finding waits to be written since the arrival of this push.
    pub urgent_since: Option<Timestamp>,
    /// When urgent findings were last written.
    pub urgent_written: Option<Timestamp>,
}

/// Every group, by name and by place. A place never changes, so streams remember it instead of a name.
#[derive(Default)]
pub struct Groups {
    list: Vec<(GroupKey, Group)>,
    places: HashMap<GroupKey, usize>,
}

impl Groups {
    /// The place of a group; a new one is made.
    pub fn place(&mut self, key: &GroupKey) -> usize {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let place = self.list.len();
        self.list.push((key.clone(), Group::default()));
        self.places.insert(key.clone(), place);
        place
    }

    /// The group at a place.
    pub fn at(&mut self, place: usize) -> Option<&mut Group> {
        self.list.get_mut(place).map(|(_, group)| group)
    }

    /// The group of this name.
    pub fn get_mut(&mut self, key: &GroupKey) -> Option<&mut Group> {
        let place = *self.places.get(key)?;
        self.at(place)
    }

    /// Every group with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        self.list.iter().map(|(key, group)| (key, group))
    }

    /// Every group.
    pub fn values(&self) -> impl Iterator<Item = &Group> {
        self.list.iter().map(|(_, group)| group)
    }
}

impl FromIterator<(GroupKey, Group)> for Groups {
    fn from_iter<I: IntoIterator<Item = (GroupKey, Group)>>(groups: I) -> Self {
        let mut all = Groups::default();
        for (key, group) in groups {
            let place = all.place(&key);
            if let Some(at) = all.at(place) {
                *at = group;
            }
        }
        all
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
    /// That group's place among all.
    pub place: usize,
    /// The rules that apply to it.
    pub rules: StreamRules,
    /// Whether its lines are messages as they are, without anything around them to be taken off.
    pub is_bare: bool,
}

/// The group of a label set: the first grouping label it has, or the tenant's common group.
pub fn group_name(labels: &Labels, group_by: &[String]) -> String {
    group_by.iter().find_map(|name| labels.get(name)).unwrap_or_default().to_owned()
}
