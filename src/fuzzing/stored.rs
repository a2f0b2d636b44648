//! Files and records.

use std::collections::BTreeMap;
use std::path::Path;

use super::lines;
use crate::config;
use crate::session::Entry;
use crate::store::{file::record as filed, record as hashed};

/// A configuration: it is one, or every mistake in it is told.
///
/// # Panics
/// Where there is neither, or a mistake cannot be shown.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match config::parse(text, Path::new("gateway.toml"), Path::new("/nonexistent")) {
        Ok(config) => drop(config.doubts().count()),
        Err(mistakes) => assert!(mistakes.iter().next().is_some() && !mistakes.to_string().is_empty()),
    }
}

/// A stored entry, as a hash of `field=value` lines and as it stands in a file: it is none, or what is written
/// of it is read and written again as the same.
///
/// # Panics
/// Where it is something else.
pub fn record(data: &[u8]) {
    let fields = lines(data).map(|line| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
        // A cookie's field and value hold line feeds of their own.
        let part = |text: &[u8]| text.iter().map(|byte| if *byte == 0x0b { b'\n' } else { *byte }).collect::<Vec<u8>>();
        (part(&line[..at]), part(line.get(at + 1..).unwrap_or_default()))
    });
    // A hash has each field once.
    let fields: Vec<_> = fields.collect::<BTreeMap<_, _>>().into_iter().collect();
    let written = |entry: &Entry| {
        let mut fields = vec![(b"m".to_vec(), hashed::meta(entry).into_bytes())];
        if let Entry::Live(session) = entry {
            fields.extend(hashed::fields(session));
        }
        fields
    };
    if let Ok(Some(entry)) = hashed::read(&fields) {
        let first = written(&entry);
        let again = hashed::read(&first).expect("what is written can be read").expect("it is there");
        assert_eq!(written(&again), first, "{entry:?} {again:?}");
    }
    let written = |entry: &Entry| {
        let mut bytes = Vec::new();
        filed::write(&mut bytes, entry);
        bytes
    };
    if let Some(entry) = filed::read(data) {
        let first = written(&entry);
        let again = filed::read(&first).expect("what is written can be read");
        assert_eq!(written(&again), first, "{entry:?} {again:?}");
    }
    for (key, entry) in filed::each(data).flatten() {
        let _ = (key, filed::read(entry));
    }
}
