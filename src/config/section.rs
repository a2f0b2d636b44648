//! One section of the file, from which keys are taken one by one; what nobody takes is unknown.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Fault, Kind, Place, Span};
use super::nearest::nearest;
use super::reader::{Noted, Reading};
use super::value::Value;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    /// Its key and where it stands; for a default, its section.
    pub(super) place: Place,
    /// Whether it stands in the file; if not, it is the default.
    pub(super) written: bool,
}

/// A value that was good, or the proof that it was not.
pub(super) type Taken<T> = Result<At<T>, Noted>;

/// Where a key stands that is written.
pub(super) fn written<T>(taken: &Taken<T>) -> Option<Place> {
    taken.as_ref().ok().filter(|at| at.written).map(|at| at.place.clone())
}

/// The sections whose names the user chose, in the order written. One with mistakes still has its name.
pub(super) type Named<T> = Vec<(String, Result<T, Noted>)>;

/// A table of the file, less the keys already taken from it.
pub(super) struct Section<'r> {
    reading: &'r Reading<'r>,
    place: Place,
    /// Its name with `*` for names that the user chose.
    kind: String,
    written: bool,
    left: BTreeMap<String, (Span, Spanned<DeValue<'r>>)>,
    asked: Vec<&'static str>,
}

impl<'r> Section<'r> {
    fn new(reading: &'r Reading<'r>, place: Place, kind: &str, table: Option<DeTable<'r>>) -> Self {
        let written = table.is_some();
        let left = table.unwrap_or_default().into_iter();
        let left = left.map(|(key, value)| (key.get_ref().to_string(), (key.span(), value))).collect();
        Self { reading, place, kind: kind.to_owned(), written, left, asked: Vec::new() }
    }

    /// Reads the top level of the file by `read`.
    pub(super) fn root<T>(
        reading: &'r Reading<'r>,
        place: Place,
        table: DeTable<'r>,
        read: impl FnOnce(&mut Section<'r>) -> T,
    ) -> T {
        let mut root = Self::new(reading, place, "", Some(table));
        let result = read(&mut root);
        root.end();
        result
    }

    /// Whether the section stands in the file.
    pub(super) fn is_written(&self) -> bool {
        self.written
    }

    /// Whether the file has this key, which is still to be taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Its own name and place.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Notes a mistake.
    pub(super) fn note(&self, place: &Place, fault: Fault) -> Noted {
        self.reading.note(place, fault)
    }

    /// Takes a key that has a default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'r>) -> Result<T, Noted>,
    ) -> Taken<T> {
        let taken = self.optional(key, read)?;
        Ok(At { value: taken.value.unwrap_or(default), place: taken.place, written: taken.written })
    }

    /// Takes a key that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'r>) -> Result<T, Noted>,
    ) -> Taken<Option<T>> {
        let (place, value) = self.take(key);
        let Some(value) = value else { return Ok(At { value: None, place, written: false }) };
        let value = Value { reading: self.reading, place, toml: value };
        Ok(At { value: Some(read(&value)?), place: value.place, written: true })
    }

    /// Takes a key that must be there; `expected` says what it holds.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value<'r>) -> Result<T, Noted>,
    ) -> Taken<T> {
        let At { value, place, written } = self.optional(key, read)?;
        match value {
            Some(value) => Ok(At { value, place, written }),
            None => Err(self.note(&place, Fault::new(Kind::MissingKey, "missing", expected))),
        }
    }

    /// Reads the section of that name by `read`; an absent one as if it were empty, so that its defaults hold.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'r>) -> Result<T, Noted>,
    ) -> Result<T, Noted> {
        let kind = join(&self.kind, key);
        let (place, value) = self.take(key);
        self.inner(place, &kind, value, read)
    }

    /// Reads every section `[key.NAME]`, in the order written; `read` is given the name.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&At<String>, &mut Section<'r>) -> Result<T, Noted>,
    ) -> Result<Named<T>, Noted> {
        let kind = format!("{}.*", join(&self.kind, key));
        self.section(key, |parent| {
            // The names are the user's own: none of them is unknown.
            let mut sections: Vec<_> = std::mem::take(&mut parent.left).into_iter().collect();
            sections.sort_by_key(|(_, (span, _))| span.start);
            let read_one = |(name, (span, value)): (String, (Span, Spanned<DeValue<'r>>))| {
                let at = Place { key: join(&parent.place.key, &name), span: Some(span) };
                let place = Place { key: at.key.clone(), span: Some(value.span()) };
                let at = At { value: name.clone(), place: at, written: true };
                (name, parent.inner(place, &kind, Some(value.into_inner()), |section| read(&at, section)))
            };
            Ok(sections.into_iter().map(read_one).collect())
        })
    }

    /// Reads every `[[key]]`, in the order written.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'r>) -> Result<T, Noted>,
    ) -> Taken<Vec<Result<T, Noted>>> {
        let kind = format!("{}[]", join(&self.kind, key));
        let (place, value) = self.take(key);
        let written = value.is_some();
        let items = match value {
            None => Vec::new(),
            Some(DeValue::Array(items)) => items.into_iter().collect(),
            Some(_) => {
                let fault =
                    Fault::new(Kind::WrongType, "not a list of sections", format!("[[{key}]], with two brackets"));
                return Err(self.note(&place, fault));
            }
        };
        let read_one = |(index, item): (usize, Spanned<DeValue<'r>>)| {
            let place = Place { key: format!("{}[{index}]", place.key), span: Some(item.span()) };
            self.inner(place, &kind, Some(item.into_inner()), &mut read)
        };
        let value = items.into_iter().enumerate().map(read_one).collect();
        Ok(At { value, place, written })
    }

    fn inner<T>(
        &self,
        place: Place,
        kind: &str,
        value: Option<DeValue<'r>>,
        read: impl FnOnce(&mut Section<'r>) -> Result<T, Noted>,
    ) -> Result<T, Noted> {
        let table = match value {
            None => None,
            Some(DeValue::Table(table)) => Some(table),
            Some(other) => {
                let found = format!("found {}", super::value::type_of(&other));
                return Err(self.note(&place, Fault::new(Kind::WrongType, found, "a section")));
            }
        };
        let mut section = Section::new(self.reading, place, kind, table);
        let result = read(&mut section);
        section.end();
        result
    }

    /// Takes a key out, so that what is left at the end is what nobody knows.
    fn take(&mut self, key: &'static str) -> (Place, Option<DeValue<'r>>) {
        self.asked.push(key);
        #[cfg(test)]
        {
            let mut asked = self.reading.asked.borrow_mut();
            *asked.entry(join(&self.kind, key)).or_default() |= self.has(key);
        }
        let name = join(&self.place.key, key);
        match self.left.remove(key) {
            Some((_, value)) => (Place { key: name, span: Some(value.span()) }, Some(value.into_inner())),
            None => (Place { key: name, span: self.place.span.clone() }, None),
        }
    }

    /// Reports what is left.
    fn end(self) {
        for (key, (span, _)) in &self.left {
            let place = Place { key: join(&self.place.key, key), span: Some(span.clone()) };
            let fault = Fault::new(Kind::UnknownKey, "no such key", one_of(self.asked.iter().copied()));
            self.note(
                &place,
                match nearest(key, self.asked.iter().copied()) {
                    Some(known) => fault.help(format!("did you mean `{known}`?")),
                    None => fault,
                },
            );
        }
    }
}

/// "a, b or c"
pub(super) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        Some((only, _)) => (*only).to_owned(),
        None => "nothing here".to_owned(),
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}
