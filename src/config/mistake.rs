//! What is wrong with a configuration file, and where: collected, put in order, shown all at once.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

/// A stretch of the file, in bytes.
pub(super) type Span = Range<usize>;

/// Every mistake of one configuration file, in the order of the lines they are on. Never empty.
///
/// `Display` shows them in plain text, [`Mistakes::coloured`] for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    file: PathBuf,
    text: String,
    list: Vec<Mistake>,
}

/// One mistake: at which key and line, what was found, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    fault: Fault,
    place: Place,
    line: Option<usize>,
}

/// The kinds of mistakes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file could not be read: the configuration itself, or one it takes a value from.
    Unreadable,
    /// The text is not TOML.
    Syntax,
    /// No part of this version reads that key.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of another TOML type, such as a string for a number.
    WrongType,
    /// A duration or size without a unit, or in a unit that is none.
    WrongUnit,
    /// A number, duration, size or list outside its limits.
    OutOfRange,
    /// A word that is not one of the key's words.
    NotAChoice,
    /// A value that does not have the form its key asks for.
    Malformed,
    /// A name that nothing in the file has.
    UnknownName,
    /// Something said twice that can be there only once.
    Duplicate,
    /// Values that are good by themselves and impossible together.
    Conflict,
}

/// A mistake without its place, as the code that looks at a value alone can tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: Kind,
    found: String,
    expected: String,
    help: Option<String>,
    beside: Option<(Span, String)>,
}

/// A key by its full name, and where it (or the section it is absent from) is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Such as `session.idle_timeout` or `route[0].upstream`; empty for the file as a whole.
    pub(super) key: String,
    pub(super) span: Option<Span>,
}

/// How many mistakes a report shows; a file of other kind than ours would fill the screen.
const SHOWN: usize = 50;

/// What is expected stands beside what was found, if it is no longer than this; else below.
const LABEL: usize = 72;

impl Mistakes {
    pub(super) fn new(file: &Path, text: &str, mut list: Vec<Mistake>) -> Self {
        // What has no place stands last; the sort is stable, so that one place keeps the order of finding.
        list.sort_by_key(|mistake| mistake.place.span.as_ref().map_or(usize::MAX, |span| span.start));
        let line_ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
        for mistake in &mut list {
            let start = mistake.place.span.as_ref().map(|span| span.start);
            mistake.line = start.map(|start| line_ends.partition_point(|end| *end < start) + 1);
            // Whatever key a URL was written to.
            mistake.fault.found = masked(&mistake.fault.found);
        }
        Self { file: file.to_owned(), text: masked(text), list }
    }

    /// The file they are in, as it was named to [`load`](super::load) or [`parse`](super::parse).
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Each of them, from the top of the file to its end.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.list.iter()
    }

    /// The report with terminal colours.
    pub fn coloured(&self) -> impl fmt::Display + '_ {
        Report { mistakes: self, renderer: Renderer::styled() }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Report { mistakes: self, renderer: Renderer::plain() }.fmt(f)
    }
}

impl std::error::Error for Mistakes {}

impl<'m> IntoIterator for &'m Mistakes {
    type Item = &'m Mistake;
    type IntoIter = std::slice::Iter<'m, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Mistake {
    pub(super) fn new(place: Place, fault: Fault) -> Self {
        Self { fault, place, line: None }
    }

    /// What kind of mistake it is.
    pub fn kind(&self) -> Kind {
        self.fault.kind
    }

    /// The key by its full name, such as `session.idle_timeout`, `upstream.app.servers[0]` or `route[0].path`
    /// (lists count from 0); empty where the file as a whole is meant.
    pub fn key(&self) -> &str {
        &self.place.key
    }

    /// The line, from 1; none where there is no line to show: an unreadable file, a section that is not there.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What was found.
    pub fn found(&self) -> &str {
        &self.fault.found
    }

    /// What was expected instead.
    pub fn expected(&self) -> &str {
        &self.fault.expected
    }

    /// What to do about it, where that can be told.
    pub fn help(&self) -> Option<&str> {
        self.fault.help.as_deref()
    }

    pub(super) fn span(&self) -> Option<&Span> {
        self.place.span.as_ref()
    }
}

impl Fault {
    pub(super) fn new(kind: Kind, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { kind, found: found.into(), expected: expected.into(), help: None, beside: None }
    }

    /// Adds what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the other place that the mistake is about, with a word on it; nothing where that is a default.
    pub(super) fn beside(mut self, other: &Place, label: impl Into<String>) -> Self {
        self.beside = other.span.clone().map(|span| (span, label.into()));
        self
    }
}

/// The text with a `*` for every byte of a password in a URL: a report shows whole lines, and goes to a log.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for (index, part) in text.split("://").enumerate() {
        if index == 0 {
            masked.push_str(part);
            continue;
        }
        masked.push_str("://");
        let end = part.find(|each: char| each.is_whitespace() || each == '"' || each == '\'').unwrap_or(part.len());
        let password = part[..end].rfind('@').and_then(|at| Some((part[..at].find(':')? + 1, at)));
        let (start, end) = password.unwrap_or((0, 0));
        masked.push_str(&part[..start]);
        masked.extend(std::iter::repeat_n('*', end - start));
        masked.push_str(&part[end..]);
    }
    masked
}

/// Mistakes on their way to a reader.
struct Report<'m> {
    mistakes: &'m Mistakes,
    renderer: Renderer,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistakes { file, text, list } = self.mistakes;
        let name = file.display().to_string();
        for mistake in list.iter().take(SHOWN) {
            writeln!(f, "{}\n", self.one(mistake, &name, text))?;
        }
        match list.len() {
            1 => write!(f, "{name}: 1 mistake"),
            count if count > SHOWN => write!(f, "{name}: {count} mistakes, of which the first {SHOWN} are shown"),
            count => write!(f, "{name}: {count} mistakes"),
        }
    }
}

impl Report<'_> {
    fn one(&self, mistake: &Mistake, name: &str, text: &str) -> String {
        let Fault { found, expected, help, beside, .. } = &mistake.fault;
        let key = mistake.key();
        let title = if key.is_empty() { found.clone() } else { format!("{key}: {found}") };
        let expected = if expected.is_empty() { None } else { Some(format!("expected {expected}")) };
        let (label, note) = match expected {
            Some(long) if mistake.place.span.is_none() || long.len() > LABEL => (None, Some(long)),
            short => (short, None),
        };

        let mut group = Level::ERROR.primary_title(title).elements(std::iter::empty::<Origin<'_>>());
        if let Some(span) = &mistake.place.span {
            let primary = AnnotationKind::Primary.span(span.clone()).label(label);
            let context = beside.clone().map(|(span, label)| AnnotationKind::Context.span(span).label(label));
            group = group.element(Snippet::source(text).path(name).annotation(primary).annotations(context));
        } else {
            group = group.element(Origin::path(name));
        }
        if let Some(note) = note {
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(help) = help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        self.renderer.render(&[group])
    }
}
