//! `[upstream.NAME.health]`: how servers are asked whether they are well.

use std::time::Duration;

use crate::proxy::upstream::health::Settings;

use super::mistake::{Fault, Kind};
use super::reader::Noted;
use super::section::{Section, written};
use super::value::{duration, malformed, number, text};

/// Reads the section; without a path nobody is asked.
pub(super) fn health(section: &mut Section<'_>) -> Result<Option<Settings>, Noted> {
    let (shortest, longest) = (Duration::from_millis(10), Duration::from_hours(1));
    let asked = section.optional("path", text("a path", path));
    let interval = section.or("interval", Duration::from_secs(5), duration(shortest..=longest));
    let timeout = section.or("timeout", Duration::from_secs(2), duration(shortest..=longest));
    let rise = section.or("rise", 2, number(1..=1000));
    let fall = section.or("fall", 3, number(1..=1000));
    let others = [written(&interval), written(&timeout), written(&rise), written(&fall)];
    let asked = asked?;
    let Some(path) = asked.value else {
        return match others.iter().flatten().next() {
            None => Ok(None),
            Some(place) => {
                let fault = Fault::new(Kind::Conflict, "no health is asked for", "a path beside it");
                Err(section.note(place, fault))
            }
        };
    };
    Ok(Some(Settings {
        path,
        interval: interval?.value,
        timeout: timeout?.value,
        rise: rise?.value,
        fall: fall?.value,
    }))
}

/// A request target in origin form (RFC 9112 section 3.2.1).
fn path(written: &str) -> Result<String, Fault> {
    let good = |each: u8| each.is_ascii_graphic() && each != b'#';
    if written.starts_with('/') && written.len() <= 1024 && written.bytes().all(good) {
        return Ok(written.to_owned());
    }
    Err(malformed(written, "a path of visible ASCII that starts with `/`, and its query if it has one"))
}
