//! `[upstream.NAME.jar]`: which of the backend's own cookies are kept in the session.

use jiff::civil::{Date, Time};
use toml::de::DeValue;

use crate::proxy::cookies::jar::capture::PRESETS;
use crate::proxy::cookies::jar::{Capture, Mode, Observed, Pattern, Rule, Settings};
use crate::session::UnixTime;

use super::mistake::{Fault, Kind};
use super::reader::Noted;
use super::route::route_path;
use super::section::Section;
use super::value::{Value, choice, list, malformed, text};

/// Reads the section; none where the jar is off.
pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Settings>, Noted> {
    let words = [("off", None), ("observe", Some(Mode::Observe)), ("enforce", Some(Mode::Enforce))];
    let mode = section.or("mode", None, choice(&words));
    let capture = section.or("capture", Capture::Names(Vec::new()), capture);
    let renew_on = section.or("renew_on", Vec::new(), list(0..=256, text("a login: \"POST /login\"", rule)));
    let adopt_until = section.optional("adopt_until", date);
    let (mode, capture, renew_on, adopt_until) = (mode?, capture?, renew_on?.value, adopt_until?);
    if mode.value == Some(Mode::Enforce) && capture.value == Capture::Names(Vec::new()) {
        let fault = Fault::new(Kind::Conflict, "a jar that captures nothing", "capture = [\"session\"]");
        return Err(section.note(&mode.place, fault));
    }
    if adopt_until.written && capture.value == Capture::HttpOnly {
        let fault = Fault::new(Kind::Conflict, "browsers do not tell which cookies are HttpOnly", "capture with names");
        return Err(section.note(&adopt_until.place, fault.beside(&capture.place, "captured by kind here")));
    }
    let settings = |mode| Settings {
        mode,
        capture: capture.value,
        renew_on,
        adopt_until: adopt_until.value,
        observed: Observed::default(),
    };
    Ok(mode.value.map(settings))
}

/// Names, a framework's, or a kind.
fn capture(value: &Value<'_>) -> Result<Capture, Noted> {
    let Some(word) = value.toml.as_str() else {
        return list(0..=256, text("a cookie's name", pattern))(value).map(Capture::Names);
    };
    if word == "http-only" {
        return Ok(Capture::HttpOnly);
    }
    Capture::preset(word).ok_or_else(|| {
        let frameworks: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
        let expected = format!("a list of cookie names, \"http-only\", or a framework: {}", frameworks.join(", "));
        value.wrong(malformed(word, expected))
    })
}

/// A day, at whose first second (UTC) it is.
fn date(value: &Value<'_>) -> Result<UnixTime, Noted> {
    let written = match &value.toml {
        DeValue::Datetime(date) => date.to_string(),
        _ => text("a date: \"2027-01-31\"", |written| Ok(written.to_owned()))(value)?,
    };
    let first = |date: Date| date.to_datetime(Time::midnight());
    let seconds = |date: Date| first(date).duration_since(first(Date::constant(1970, 1, 1))).as_secs();
    let seconds = written.parse().ok().and_then(|date| u64::try_from(seconds(date)).ok());
    seconds.map(UnixTime).ok_or_else(|| value.wrong(malformed(&written, "a date, such as \"2027-01-31\"")))
}

/// A cookie's name, or the start of one and `*`.
pub(super) fn pattern(written: &str) -> Result<Pattern, Fault> {
    let name = written.strip_suffix('*').unwrap_or(written);
    let good = |each: u8| each.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}*".contains(&each);
    if !name.is_empty() && name.bytes().all(good) {
        let is_whole = name.len() == written.len();
        return Ok(if is_whole { Pattern::Exact(name.into()) } else { Pattern::Around(name.into(), "".into()) });
    }
    Err(malformed(written, "a cookie's name, such as \"session\", or the start of one, such as \"app_*\""))
}

/// A method and a path.
fn rule(written: &str) -> Result<Rule, Fault> {
    let fault = || malformed(written, "a method and a path, such as \"POST /login\"");
    let (method, path) = written.split_once(' ').ok_or_else(fault)?;
    if method.is_empty() || !method.bytes().all(|each| each.is_ascii_uppercase()) {
        return Err(fault());
    }
    Ok(Rule { method: method.into(), path: route_path(path)?.into() })
}
