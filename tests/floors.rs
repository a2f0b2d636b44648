//! The layout is the architecture: every import points down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Floor by top-level module, as `lib.rs` draws it.
const FLOORS: [(&str, u8); 15] = [
    ("deadline", 0),
    ("session", 0),
    ("metrics", 0),
    ("store", 1),
    ("sessions", 2),
    ("proxy", 3),
    ("listener", 4),
    ("tls", 4),
    ("admin", 4),
    ("telemetry", 4),
    ("config", 5),
    ("gateway", 6),
    ("main", 6),
    ("cli", 6),
    ("fuzzing", 6),
];

/// Crates that belong to certain floors only.
const CRATES: [(&str, &[u8]); 11] = [
    ("h2", &[3]),
    ("hyper", &[3, 4, 6]),
    ("http", &[3, 4, 6]),
    ("tokio", &[1, 3, 4, 6]),
    ("tokio_rustls", &[1, 3, 4, 6]),
    ("dashmap", &[1]),
    ("redb", &[1]),
    ("redis", &[1]),
    ("quick_cache", &[1, 3]),
    ("rustls", &[4, 6]),
    ("axum", &[4]),
];

/// Names under which anything could be put.
const NO_ROOMS: [&str; 5] = ["utils.rs", "util.rs", "helpers.rs", "common.rs", "mod.rs"];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the source folder can be read") {
            let path = entry.expect("a folder's entry can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// The top-level module a source file belongs to; none for `lib.rs`.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("a file under src");
    let first = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy();
    let name = first.trim_end_matches(".rs").to_owned();
    (name != "lib").then_some(name)
}

/// Every word that follows `crate::` in what is compiled into the library: tests may look wherever they like.
fn used(source: &str) -> Vec<String> {
    let code: String = source
        .split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::").chain(code.match_indices("session_gateway::")) {
        let rest = &code[at + found.len()..];
        let list = rest.strip_prefix('{').map_or_else(
            || rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned(),
            |list| {
                let mut depth = 0;
                list.chars()
                    .take_while(|c| {
                        depth += i32::from(*c == '{') - i32::from(*c == '}');
                        depth >= 0
                    })
                    .collect()
            },
        );
        let mut depth = 0;
        let mut word = String::new();
        for c in list.chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(word.trim().split("::").next().unwrap_or_default().to_owned());
                    word.clear();
                }
                c if depth == 0 => word.push(c),
                _ => {}
            }
        }
    }
    names
}

#[test]
fn a_module_uses_lower_floors_only() {
    let floors: BTreeMap<&str, u8> = FLOORS.into();
    let (mut files, mut imports, mut upward) = (0, 0, Vec::new());
    for path in sources() {
        let Some(module) = module(&path) else { continue };
        let own = *floors.get(module.as_str()).unwrap_or_else(|| panic!("{} has no floor", path.display()));
        files += 1;
        for name in used(&std::fs::read_to_string(&path).expect("a source file can be read")) {
            let Some(floor) = floors.get(name.as_str()) else {
                panic!("{}: crate::{name} has no floor", path.display())
            };
            imports += 1;
            if name != module && *floor >= own && !(own == 6 && *floor == 6) {
                upward.push(format!("{} (floor {own}) uses {name} (floor {floor})", path.display()));
            }
        }
    }
    assert!(files > 30 && imports > 50, "the test read {files} files with {imports} imports: it has lost its way");
    assert!(upward.is_empty(), "imports that do not point down:\n{}", upward.join("\n"));
}

#[test]
fn a_crate_stays_on_its_floors() {
    let floors: BTreeMap<&str, u8> = FLOORS.into();
    let (mut seen, mut strayed) = (0, Vec::new());
    for path in sources() {
        let Some(module) = module(&path) else { continue };
        let source = std::fs::read_to_string(&path).expect("a source file can be read");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (name, allowed) in CRATES {
            let uses = code.lines().any(|line| {
                line.trim_start().starts_with(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::")) && !line.contains("//")
            });
            if uses {
                seen += 1;
                if !allowed.contains(&floors[module.as_str()]) {
                    strayed.push(format!("{} uses {name}", path.display()));
                }
            }
        }
    }
    assert!(seen > 20, "the test saw {seen} uses: it has lost its way");
    assert!(strayed.is_empty(), "crates above or below their floors:\n{}", strayed.join("\n"));
}

#[test]
fn every_file_is_a_room_with_a_name() {
    for path in sources() {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        assert!(!NO_ROOMS.contains(&name.as_str()), "{} is no room", path.display());
        let source = std::fs::read_to_string(&path).expect("a source file can be read");
        assert!(source.starts_with("//! "), "{} does not say what lives in it", path.display());
    }
}

#[test]
fn the_reader_of_imports_reads_what_rust_reads() {
    let source = "use crate::a::b;\nuse crate::{c, d::{e, f}, g};\nlet x = crate::h::i();\n// crate::never\n#[cfg(test)]\nuse crate::test;";
    assert_eq!(used(source), ["a", "c", "d", "g", "h"]);
}
