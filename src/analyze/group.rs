//! Groups: the lines of one tenant and host, with the open window and the state carried from window to window.

use crate::{
    analyze::{
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
    /// The open window, if lines came since the last one was closed.
    pub window: Option<OpenWindow>,
    /// An urgent finding waits to be written since the arrival of this push.
    pub urgent_since: Option<Timestamp>,
    /// When urgent findings were last written.
    pub urgent_written: Option<Timestamp>,
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
}

/// The group of a label set: the first grouping label it has, or the tenant's common group.
pub fn group_name(labels: &Labels, group_by: &[String]) -> String {
    group_by.iter().find_map(|name| labels.get(name)).unwrap_or_default().to_owned()
}
