//! One variable position of a template: what usually stands there, and whether a value is something else.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    categories::{Categories, MAX_TEXT},
    codec::{Reader, Writer},
    field::{Field, Nature},
    network::Network,
    numeric::Numeric,
    quantity::{self, Unit},
};
use crate::analyze::mine::Kind;

/// In what way a value is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A name that never stood here.
    Value,
    /// An address of a network that never stood here.
    Network,
    /// A number above all known.
    High,
    /// A number below all known.
    Low,
    /// Numbers that never stood together.
    Together,
}

/// How unlikely that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Chance {
    /// A new value; 1 where none was expected, more where one was.
    Novel(f64),
    /// A probability of `10^-exponent` for each line.
    Tail(f64),
}

/// What a value is that is unusual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Odd {
    pub(super) what: What,
    /// The same for equal values.
    pub(super) tag: u64,
    pub(super) chance: Chance,
}

/// What a position made of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) odd: Option<Odd>,
    /// The value as a number, where numbers stand here.
    pub(super) number: Option<f64>,
}

/// A place in a template where values differ.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    /// The word of the template, and the value's place within it.
    pub(super) at: (u16, u8),
    pub(super) field: Field,
    /// The group's age when it was first seen, in days.
    born: f64,
    pub(super) set: Categories,
    pub(super) numbers: Option<Box<Numeric>>,
    /// Status classes seen, and whether a public address was; the second of each is the open window's.
    classes: (u16, u16),
    public: (bool, bool),
}

/// An address of the public internet where none ever was.
const FIRST_PUBLIC: f64 = 0.3;
/// A server error where none ever was; another code of a class that is known.
const SERVER_ERROR: f64 = 0.5;
const KNOWN_CLASS: f64 = 4.0;
/// Ids and URLs are new more often than words.
const LOOSE: f64 = 2.0;
/// A position is trusted fully after this share of a day.
const ADULT: f64 = 0.5;

impl Position {
    pub(super) fn new(at: (u16, u8), field: Field, born: f64) -> Self {
        Position {
            at,
            field,
            born,
            set: Categories::default(),
            numbers: None,
            classes: (0, 0),
            public: (false, false),
        }
    }

    /// Takes a value. `joined` is its number where it goes on over several values (`1,234`).
    pub(super) fn meet(&mut self, kind: Kind, text: &str, joined: Option<f64>) -> Met {
        match kind {
            Kind::Date | Kind::Time | Kind::Uuid | Kind::Hex => Met::default(),
            Kind::Ip => Met { odd: self.address(text), number: None },
            Kind::Number | Kind::Quantity => self.number(text, joined),
            Kind::Id | Kind::Text if self.numbers.is_some() || starts_like_time(text) => {
                self.number(text, None)
            }
            _ => Met { odd: self.name(kind, text), number: None },
        }
    }

    fn number(&mut self, text: &str, joined: Option<f64>) -> Met {
        match self.field.nature {
            Nature::Serial => return Met::default(),
            Nature::Status | Nature::Code => return Met { odd: self.code(text), number: None },
            Nature::Measure | Nature::Count => {}
        }
        let parsed = joined.map(|value| quantity::Quantity { value, unit: Unit::Plain });
        let Some(quantity) = parsed.or_else(|| quantity::parse(text)) else {
            return Met { odd: self.name(Kind::Any, text), number: None };
        };
        let numbers = self.numbers.get_or_insert_with(|| Box::new(Numeric::new(quantity.unit)));
        let tail = numbers.meet(quantity.value);
        // A plain number that is small for once is the beginning of a count.
        let is_measure = self.field.nature == Nature::Measure;
        let odd = tail.filter(|tail| tail.is_high || is_measure).map(|tail| Odd {
            what: if tail.is_high { What::High } else { What::Low },
            tag: 0,
            chance: Chance::Tail(tail.exponent),
        });
        Met { odd, number: Some(quantity.value) }
    }

    fn name(&mut self, kind: Kind, text: &str) -> Option<Odd> {
        let factor = if matches!(kind, Kind::Id | Kind::Url) { LOOSE } else { 1.0 };
        self.novel(What::Value, hash(text), factor, || cut(text))
    }

    fn code(&mut self, text: &str) -> Option<Odd> {
        let mut factor = 1.0;
        if self.field.nature == Nature::Status {
            let digit = text.bytes().next().unwrap_or(b'0').saturating_sub(b'0').min(9);
            let class = 1u16 << digit;
            self.classes.1 |= class;
            factor = match digit {
                _ if self.classes.0 & class != 0 => KNOWN_CLASS,
                5 => SERVER_ERROR,
                _ => 1.0,
            };
        }
        self.novel(What::Value, hash(text), factor, || cut(text))
    }

    fn address(&mut self, text: &str) -> Option<Odd> {
        if self.set.is_open {
            return None;
        }
        let Some(network) = Network::of(text) else { return self.name(Kind::Any, text) };
        self.public.1 |= network.is_public;
        let factor = if network.is_public && !self.public.0 { FIRST_PUBLIC } else { 1.0 };
        self.novel(What::Network, network.key(), factor, || network.to_string().into())
    }

    fn novel(&mut self, what: What, tag: u64, factor: f64, text: impl FnOnce() -> Box<str>) -> Option<Odd> {
        if self.set.is_open || !self.set.meet(tag, text) {
            return None;
        }
        let weight = self.set.weight()?;
        Some(Odd { what, tag, chance: Chance::Novel(weight * factor) })
    }

    /// The chance, less sure where the position is young; `age` is the group's.
    pub(super) fn by_age(&self, chance: Chance, age: f64) -> Chance {
        let youth = (ADULT / (age - self.born).max(1e-6)).max(1.0);
        match chance {
            Chance::Novel(weight) => Chance::Novel(weight * youth),
            Chance::Tail(exponent) => Chance::Tail(exponent - 2.0 * (youth / 5.0).max(1.0).log10()),
        }
    }

    /// What usually stands here.
    pub(super) fn normal(&self, what: What) -> String {
        match (what, &self.numbers) {
            (What::Value | What::Network, _) | (_, None) => self.set.normal(),
            (_, Some(numbers)) => numbers.normal(self.field.unit),
        }
    }

    /// Whether the open window brought something that must be learnt.
    pub(super) fn has_news(&self) -> bool {
        self.set.has_news() || self.numbers.as_ref().is_some_and(|numbers| numbers.has_news())
    }

    /// Learns the window.
    pub(super) fn commit(&mut self) {
        if !self.set.is_open {
            self.set.commit();
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.commit();
        }
        self.classes = (self.classes.0 | self.classes.1, 0);
        self.public = (self.public.0 || self.public.1, false);
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        self.set.reset();
        if let Some(numbers) = &mut self.numbers {
            numbers.reset();
        }
        (self.classes.1, self.public.1) = (0, false);
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        let numbers = self.numbers.as_ref().map_or(0, |numbers| numbers.bytes());
        size_of::<Position>() + self.field.name.len() + self.set.bytes() + numbers
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(u64::from(self.at.0));
        out.byte(self.at.1);
        out.text(&self.field.name);
        out.byte(self.field.nature as u8);
        self.field.unit.write(out);
        out.double(self.born);
        out.number(u64::from(self.classes.0));
        out.byte(u8::from(self.public.0) | u8::from(self.numbers.is_some()) << 1);
        self.set.write(out);
        if let Some(numbers) = &self.numbers {
            numbers.write(out);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Position> {
        let at = (from.small()?, from.byte()?);
        let name = from.text()?.into();
        let nature = Nature::of_code(from.byte()?)?;
        let field = Field { name, nature, unit: Unit::read(from)? };
        let mut found = Position::new(at, field, from.double()?);
        found.classes.0 = from.small()?;
        let flags = from.byte()?;
        found.public.0 = flags & 1 != 0;
        found.set = Categories::read(from)?;
        if flags & 2 != 0 {
            found.numbers = Some(Box::new(Numeric::read(from)?));
        }
        Some(found)
    }
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// `1m2.5s` is an id to the miner; a digit in front and a unit at the end make it worth reading as a time.
fn starts_like_time(text: &str) -> bool {
    text.len() <= 16 && text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with('s')
}

fn cut(text: &str) -> Box<str> {
    match text.len() {
        ..=MAX_TEXT => text.into(),
        _ => format!("{}…", text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or("")).into(),
    }
}
