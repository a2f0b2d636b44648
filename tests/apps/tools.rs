//! What these tests run, found where `make test` puts it.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const SKIP: &str = "SESSION_GATEWAY_SKIP_APPS";

/// Whether the environment asks to leave these tests out; says so past the test harness, which hides a passing test's
/// words.
pub(crate) fn skipped() -> bool {
    let skipped = env::var(SKIP).is_ok_and(|value| value == "1");
    if skipped {
        let test = std::thread::current();
        let line = format!("SKIPPED {}: {SKIP}=1\n", test.name().unwrap_or("a test"));
        io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    }
    skipped
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Python that can import Flask and Django.
pub(crate) fn python() -> PathBuf {
    set_up(".tools/venv/bin/python")
}

/// Where Express and playwright-core are.
pub(crate) fn node_modules() -> PathBuf {
    set_up(".tools/node/node_modules")
}

pub(crate) fn node() -> PathBuf {
    in_path(&["node"])
}

pub(crate) fn php() -> PathBuf {
    in_path(&["php"])
}

pub(crate) fn curl() -> PathBuf {
    in_path(&["curl"])
}

/// `CHROMIUM`, or the first in PATH. The same names in the same order as scripts/setup-tests.sh.
fn chromium() -> PathBuf {
    match env::var_os("CHROMIUM") {
        Some(path) if !path.is_empty() => path.into(),
        _ => in_path(&["chromium", "chromium-browser", "google-chrome"]),
    }
}

/// Makes a visit in Chromium: a script under `tests/`, and what it is told.
pub(crate) fn visit_in_chromium(script: &str, told: &str) {
    // It watches its own time.
    let visit = Command::new(in_path(&["node"]))
        .arg(root().join("tests").join(script))
        .arg(told)
        .env("NODE_PATH", node_modules())
        .env("CHROMIUM", chromium())
        .output()
        .expect("node runs");
    let (out, err) = (String::from_utf8_lossy(&visit.stdout), String::from_utf8_lossy(&visit.stderr));
    assert!(visit.status.success(), "{}\n{out}{err}", visit.status);
    assert!(out.ends_with("visited\n"), "the visit was not finished:\n{out}{err}");
}

fn set_up(path: &str) -> PathBuf {
    let path = root().join(path);
    if !path.exists() {
        missing(&path.display().to_string());
    }
    path
}

fn in_path(names: &[&str]) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = names.iter().flat_map(|name| env::split_paths(&path).map(move |dir| dir.join(name)));
    candidates.find(|file| file.is_file()).unwrap_or_else(|| missing(names[0]))
}

fn missing(what: &str) -> ! {
    panic!("{what} is missing: run `make test`, which installs what these tests need, or leave them out with {SKIP}=1")
}
