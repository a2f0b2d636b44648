//! Readers for one value each: a flag, a number, a duration, a word, a list.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::mistake::{Fault, Kind, Place};
use super::reader::{Noted, Reading};
use super::section::one_of;
use super::units;

/// One value of the file, its type still to be seen.
pub(super) struct Value<'r> {
    pub(super) reading: &'r Reading<'r>,
    pub(super) place: Place,
    pub(super) toml: DeValue<'r>,
}

impl Value<'_> {
    /// Notes what is wrong with it.
    pub(super) fn wrong(&self, fault: Fault) -> Noted {
        self.reading.note(&self.place, fault)
    }

    /// It as written, to be quoted.
    pub(super) fn quoted(&self) -> String {
        self.reading.quoted(&self.place)
    }

    fn wrong_type(&self, expected: &str) -> Noted {
        self.wrong(Fault::new(Kind::WrongType, format!("found {}", type_of(&self.toml)), expected))
    }

    fn str(&self, expected: &str) -> Result<&str, Noted> {
        self.toml.as_str().ok_or_else(|| self.wrong_type(expected))
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value<'_>) -> Result<bool, Noted> {
    value.toml.as_bool().ok_or_else(|| value.wrong_type("true or false"))
}

/// A whole number within limits.
pub(super) fn number(limits: RangeInclusive<usize>) -> impl Fn(&Value<'_>) -> Result<usize, Noted> {
    move |value| {
        let expected = format!("a number from {} to {}", limits.start(), limits.end());
        let Some(integer) = value.toml.as_integer() else { return Err(value.wrong_type(&expected)) };
        // A number that does not fit is one outside the limits, too.
        let number = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        let within = number.filter(|number| limits.contains(number));
        within.ok_or_else(|| value.wrong(out_of_range(&value.quoted(), expected)))
    }
}

/// A duration within limits.
pub(super) fn duration(limits: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Result<Duration, Noted> {
    move |value| {
        let length = units::duration(&with_unit(value, "a duration in quotes, such as \"30s\"")?);
        let length = length.map_err(|fault| value.wrong(fault))?;
        if limits.contains(&length) {
            return Ok(length);
        }
        let [shortest, longest] = [*limits.start(), *limits.end()].map(units::written_duration);
        Err(value.wrong(out_of_range(&value.quoted(), format!("a duration from {shortest} to {longest}"))))
    }
}

/// A duration within limits, in whole seconds, which is all that sessions and cookies know.
pub(super) fn seconds(limits: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Result<Duration, Noted> {
    let read = duration(limits);
    move |value| {
        let length = read(value)?;
        if length.subsec_nanos() == 0 {
            return Ok(length);
        }
        Err(value.wrong(Fault::new(Kind::OutOfRange, "has a fraction of a second", "whole seconds")))
    }
}

/// A size in bytes within limits.
pub(super) fn size(limits: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Result<u64, Noted> {
    move |value| {
        let size = units::size(&with_unit(value, "a size in quotes, such as \"64KiB\"")?);
        let size = size.map_err(|fault| value.wrong(fault))?;
        if limits.contains(&size) {
            return Ok(size);
        }
        let [least, most] = [*limits.start(), *limits.end()].map(units::written_size);
        Err(value.wrong(out_of_range(&value.quoted(), format!("a size from {least} to {most}"))))
    }
}

/// A string that `parse` makes something of; `expected` is for what is no string.
pub(super) fn text<T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&Value<'_>) -> Result<T, Noted> {
    move |value| parse(value.str(expected)?).map_err(|fault| value.wrong(fault))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Value<'_>) -> Result<T, Noted> {
    move |value| {
        let expected =
            one_of(words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().iter().map(String::as_str));
        let written = value.str(&expected)?;
        let meant = words.iter().find(|(word, _)| *word == written).map(|(_, meant)| *meant);
        meant.ok_or_else(|| {
            let found = format!("{} is not one of its values", value.quoted());
            value.wrong(Fault::new(Kind::NotAChoice, found, expected))
        })
    }
}

/// A path; a relative one starts from the configuration file's folder.
pub(super) fn path(value: &Value<'_>) -> Result<PathBuf, Noted> {
    let expected = "the path of a file";
    let written = value.str(expected)?;
    if written.is_empty() || written.contains('\0') {
        return Err(value.wrong(malformed(written, expected)));
    }
    Ok(value.reading.base().join(written))
}

/// An address to listen on.
pub(super) fn address(value: &Value<'_>) -> Result<SocketAddr, Noted> {
    let expected = "an IP address and a port, such as \"127.0.0.1:8080\", \"0.0.0.0:443\" or \"[::]:443\"";
    let written = value.str(expected)?;
    written.parse().map_err(|_| value.wrong(malformed(written, expected)))
}

/// A list of so many values; every bad one is noted.
pub(super) fn list<T>(
    lengths: RangeInclusive<usize>,
    read: impl Fn(&Value<'_>) -> Result<T, Noted>,
) -> impl Fn(&Value<'_>) -> Result<Vec<T>, Noted> {
    move |value| {
        let Some(items) = value.toml.as_array() else { return Err(value.wrong_type("a list: [\"…\"]")) };
        if !lengths.contains(&items.len()) {
            let expected = format!("from {} to {} of them", lengths.start(), lengths.end());
            return Err(value.wrong(Fault::new(Kind::OutOfRange, format!("a list of {}", items.len()), expected)));
        }
        let read_one = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
            let place = Place { key: format!("{}[{index}]", value.place.key), span: Some(item.span()) };
            read(&Value { reading: value.reading, place, toml: item.get_ref().clone() })
        };
        // Collected twice, so that the first bad one does not hide the next.
        let read: Vec<Result<T, Noted>> = items.iter().enumerate().map(read_one).collect();
        read.into_iter().collect()
    }
}

/// What a mistake calls a value of that type.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// The fault of a string that has not the form it should have.
pub(super) fn malformed(written: &str, expected: impl Into<String>) -> Fault {
    let mut quoted: String = written.chars().take(60).collect();
    if quoted.len() < written.len() {
        quoted.push('…');
    }
    Fault::new(Kind::Malformed, format!("{quoted:?} is not valid"), expected)
}

fn out_of_range(found: &str, expected: String) -> Fault {
    Fault::new(Kind::OutOfRange, format!("{found} is out of range"), expected)
}

/// The string of a duration or a size. A bare number passes as one, to be told that it lacks its unit.
fn with_unit(value: &Value<'_>, expected: &str) -> Result<String, Noted> {
    match &value.toml {
        DeValue::Integer(_) | DeValue::Float(_) => Ok(value.quoted()),
        _ => value.str(expected).map(str::to_owned),
    }
}
