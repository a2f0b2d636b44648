//! Reads a TOML text to its end, and notes every mistake instead of stopping at the first.

use std::cell::RefCell;
#[cfg(test)]
use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

use super::mistake::{Fault, Kind, Mistake, Mistakes, Place};
use super::section::Section;

/// One reading of one file.
pub(super) struct Reading<'t> {
    text: &'t str,
    base: &'t Path,
    mistakes: RefCell<Vec<Mistake>>,
    /// Every key asked for, as `upstream.*.servers`, and whether the file has it: what the manual is held against.
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeMap<String, bool>>,
}

/// The proof that a mistake has been noted: whoever holds it has no value, and need not report again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted(());

impl<'t> Reading<'t> {
    /// Prepares to read `text`, in which relative paths start from `base`.
    pub(super) fn new(text: &'t str, base: &'t Path) -> Self {
        Self {
            text,
            base,
            mistakes: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Reads the text by `read`, which is given its top level; mistakes bear the name `file`.
    pub(super) fn read<T>(
        &'t self,
        file: &Path,
        read: impl FnOnce(&mut Section<'t>) -> Result<T, Noted>,
    ) -> Result<T, Mistakes> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let place = Place { key: String::new(), span: None };
        let result = Section::root(self, place, document.into_inner(), read);

        let mut mistakes = self.mistakes.take();
        if !errors.is_empty() {
            let unreadable: Vec<Mistake> = errors.iter().map(|error| self.syntax(error)).collect();
            mistakes.retain(|mistake| self.is_sure(mistake, &unreadable));
            mistakes.extend(unreadable);
        }
        match result {
            Ok(value) if mistakes.is_empty() => Ok(value),
            // Not empty either way: nobody has a `Noted` without having noted, and syntax stays in the list.
            _ => Err(Mistakes::new(file, self.text, mistakes)),
        }
    }

    /// Adds a mistake to the list.
    pub(super) fn note(&self, place: &Place, fault: Fault) -> Noted {
        self.mistakes.borrow_mut().push(Mistake::new(place.clone(), fault));
        Noted(())
    }

    /// The text as written there, short enough to be quoted.
    pub(super) fn quoted(&self, place: &Place) -> String {
        let written = place.span.clone().and_then(|span| self.text.get(span)).unwrap_or_default();
        let mut quoted: String = written.chars().take(60).flat_map(char::escape_debug).collect();
        // Quotes and backslashes stay as the reader knows them from the file.
        quoted = quoted.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
        if written.chars().nth(60).is_some() {
            quoted.push('…');
        }
        quoted
    }

    /// Where relative paths start from.
    pub(super) fn base(&self) -> &'t Path {
        self.base
    }

    fn syntax(&self, error: &toml::de::Error) -> Mistake {
        let (found, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
        let place = Place { key: String::new(), span: error.span() };
        let fault = Fault::new(Kind::Syntax, found, expected);
        let word = self.quoted(&place);
        let is_unquoted = found.contains("must be quoted") && !word.is_empty();
        Mistake::new(place, if is_unquoted { fault.help(format!("write \"{word}\"")) } else { fault })
    }

    /// Whether a mistake is one for certain, although parts of the text are not TOML: not on such a line, not about
    /// something absent (it may be in the unreadable part), and not under a section header that could not be read.
    fn is_sure(&self, mistake: &Mistake, unreadable: &[Mistake]) -> bool {
        let line = |mistake: &Mistake| mistake.span().map(|span| self.line_of(span.start));
        let Some((start, _)) = line(mistake) else { return false };
        let absence = matches!(mistake.kind(), Kind::MissingKey | Kind::UnknownName);
        !absence
            && unreadable.iter().filter_map(line).all(|(bad, content)| {
                let header = content.trim_start().starts_with('[');
                start != bad && !(header && start > bad)
            })
    }

    /// The line around `at`: where it starts, and what it says.
    fn line_of(&self, at: usize) -> (usize, &str) {
        let (before, after) = self.text.split_at_checked(at).unwrap_or((self.text, ""));
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = after.find('\n').map_or(self.text.len(), |end| before.len() + end);
        (start, &self.text[start..end])
    }
}
