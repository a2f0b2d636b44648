//! `[upstream.NAME.jar]`: which of the backend's own cookies are kept in the session.

use crate::proxy::cookies::jar::{Capture, Pattern, Rule, Settings};

use super::mistake::{Fault, Kind};
use super::reader::Noted;
use super::section::Section;
use super::upstream::route_path;
use super::value::{Value, choice, list, malformed, text};

/// Reads the section; none where the jar is off.
pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Settings>, Noted> {
    let mode = section.or("mode", false, |value: &Value<'_>| {
        match choice(&[("off", "off"), ("observe", "observe"), ("enforce", "enforce")])(value)? {
            "observe" => {
                let found = format!("{} is not supported by this version", value.quoted());
                Err(value.wrong(Fault::new(Kind::Unsupported, found, "\"off\" or \"enforce\"")))
            }
            mode => Ok(mode == "enforce"),
        }
    });
    let capture = section.or("capture", Vec::new(), |value: &Value<'_>| match value.toml.as_str() {
        Some("http-only") => {
            let found = format!("{} is not supported by this version", value.quoted());
            Err(value.wrong(Fault::new(Kind::Unsupported, found, "a list of cookie names")))
        }
        Some(other) => Err(value.wrong(malformed(other, "a list of cookie names"))),
        None => list(0..=256, text("a cookie's name", pattern))(value),
    });
    let renew_on = section.or("renew_on", Vec::new(), list(0..=256, text("a login: \"POST /login\"", rule)));
    let (mode, capture, renew_on) = (mode?, capture?.value, renew_on?.value);
    if mode.value && capture.is_empty() {
        let fault = Fault::new(Kind::Conflict, "a jar that captures nothing", "capture = [\"session\"]");
        return Err(section.note(&mode.place, fault));
    }
    Ok(mode.value.then_some(Settings { capture: Capture(capture), renew_on }))
}

/// A cookie's name, or the start of one and `*`.
fn pattern(written: &str) -> Result<Pattern, Fault> {
    let (name, pattern): (_, fn(Box<str>) -> Pattern) = match written.strip_suffix('*') {
        Some(prefix) => (prefix, Pattern::Prefix),
        None => (written, Pattern::Exact),
    };
    let good = |each: u8| each.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}*".contains(&each);
    if !name.is_empty() && name.bytes().all(good) {
        return Ok(pattern(name.into()));
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
