//! Page cursors: where the previous page ended, opaque to the caller.
//!
//! A cursor names its list, so that one list's cursor is refused by another rather than read as something else.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{error::ApiError, params};
use crate::{
    model::{FindingId, IncidentId, NoteId, StreamId, TemplateId, Timestamp, WindowId},
    query::GroupName,
};

/// A place in a list that can be written into a cursor.
pub trait Place: Sized {
    /// The list's name.
    const LIST: &'static str;
    /// The two halves: a number and an id.
    fn halves(&self) -> (i64, String);
    /// The place of two halves.
    fn from_halves(number: i64, id: &str) -> Option<Self>;
}

/// Writes a cursor.
pub fn write<P: Place>(place: &P) -> String {
    let (number, id) = place.halves();
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{number}:{id}", P::LIST))
}

/// Reads a cursor of the same list.
pub fn read<P: Place>(text: &str) -> Option<P> {
    let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (number, id) = plain.strip_prefix(P::LIST)?.strip_prefix(':')?.split_once(':')?;
    P::from_halves(number.parse().ok()?, id)
}

/// The parameter `cursor`.
pub fn param<P: Place>(params: &mut params::Params) -> Result<Option<P>, ApiError> {
    params.one("cursor", "a cursor of this list; take 'next_cursor' from the page before", read)
}

impl Place for (Timestamp, FindingId) {
    const LIST: &'static str = "findings";

    fn halves(&self) -> (i64, String) {
        (self.0.as_nanos(), self.1.0.clone())
    }

    fn from_halves(number: i64, id: &str) -> Option<Self> {
        Some((Timestamp::from_nanos(number), FindingId(id.to_owned())))
    }
}

impl Place for (Timestamp, IncidentId) {
    const LIST: &'static str = "incidents";

    fn halves(&self) -> (i64, String) {
        (self.0.as_nanos(), self.1.0.clone())
    }

    fn from_halves(number: i64, id: &str) -> Option<Self> {
        Some((Timestamp::from_nanos(number), IncidentId(id.to_owned())))
    }
}

impl Place for (Timestamp, String) {
    const LIST: &'static str = "deliveries";

    fn halves(&self) -> (i64, String) {
        (self.0.as_nanos(), self.1.clone())
    }

    fn from_halves(number: i64, id: &str) -> Option<Self> {
        Some((Timestamp::from_nanos(number), id.to_owned()))
    }
}

impl Place for (u64, TemplateId) {
    const LIST: &'static str = "templates";

    fn halves(&self) -> (i64, String) {
        (i64::try_from(self.0).unwrap_or(i64::MAX), self.1.0.to_string())
    }

    fn from_halves(number: i64, id: &str) -> Option<Self> {
        Some((u64::try_from(number).ok()?, TemplateId(id.parse().ok()?)))
    }
}

impl Place for WindowId {
    const LIST: &'static str = "windows";

    fn halves(&self) -> (i64, String) {
        (self.0, String::new())
    }

    fn from_halves(number: i64, _: &str) -> Option<Self> {
        Some(WindowId(number))
    }
}

impl Place for NoteId {
    const LIST: &'static str = "notes";

    fn halves(&self) -> (i64, String) {
        (self.0, String::new())
    }

    fn from_halves(number: i64, _: &str) -> Option<Self> {
        Some(NoteId(number))
    }
}

impl Place for StreamId {
    const LIST: &'static str = "streams";

    fn halves(&self) -> (i64, String) {
        (i64::try_from(self.0).unwrap_or(i64::MAX), String::new())
    }

    fn from_halves(number: i64, _: &str) -> Option<Self> {
        u64::try_from(number).ok().map(StreamId)
    }
}

impl Place for GroupName {
    const LIST: &'static str = "groups";

    fn halves(&self) -> (i64, String) {
        (0, self.0.clone())
    }

    fn from_halves(_: i64, id: &str) -> Option<Self> {
        Some(GroupName(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_trip_and_belongs_to_one_list() {
        let place = (Timestamp::from_nanos(-5), FindingId("a:b".into()));
        let text = write(&place);
        assert_eq!(read::<(Timestamp, FindingId)>(&text), Some(place));
        assert_eq!(read::<WindowId>(&text), None);
        assert_eq!(read::<WindowId>(&write(&WindowId(7))), Some(WindowId(7)));
        let group = GroupName("web:1".into());
        assert_eq!(read::<GroupName>(&write(&group)), Some(group));
        assert_eq!(read::<StreamId>(&write(&StreamId(9))), Some(StreamId(9)));
        for junk in ["", "!", "Zm9v", "ZmluZGluZ3M6eDp5"] {
            assert_eq!(read::<(Timestamp, FindingId)>(junk), None, "{junk}");
        }
    }
}
