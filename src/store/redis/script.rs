//! The scripts, each of which changes one key in one step.

use redis::{Cmd, cmd};

use crate::session::jar::{MOST_BYTES, MOST_COOKIES, MOST_DELETIONS};

/// Every script.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) edit: Script,
    pub(super) touch: Script,
    pub(super) settle: Script,
    pub(super) shorten: Script,
    pub(super) create: Script,
    pub(super) leave: Script,
    pub(super) undo: Script,
    pub(super) bar: Script,
    pub(super) end: Script,
    pub(super) index: Script,
}

/// A script's text and how a server that has seen it knows it.
#[derive(Debug)]
pub(super) struct Script {
    text: String,
    hash: String,
}

macro_rules! on_entry {
    ($file:literal) => {
        Script::new(concat!(include_str!("prelude.lua"), include_str!($file)).to_owned())
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            edit: Script::new(jar_limits() + concat!(include_str!("prelude.lua"), include_str!("edit.lua"))),
            touch: on_entry!("touch.lua"),
            settle: on_entry!("settle.lua"),
            shorten: on_entry!("shorten.lua"),
            create: on_entry!("create.lua"),
            leave: on_entry!("leave.lua"),
            undo: on_entry!("undo.lua"),
            bar: on_entry!("bar.lua"),
            end: on_entry!("end.lua"),
            index: Script::new(include_str!("index.lua").to_owned()),
        }
    }
}

/// The limits of a jar, which the script and `Jar::changed` must both keep.
fn jar_limits() -> String {
    let [cookies, bytes, deletions] = [MOST_COOKIES, MOST_BYTES, MOST_DELETIONS];
    format!("local MOST_COOKIES, MOST_BYTES, MOST_DELETIONS = {cookies}, {bytes}, {deletions}\n")
}

impl Script {
    fn new(text: String) -> Self {
        Self { hash: redis::Script::new(&text).get_hash().to_owned(), text }
    }

    /// Runs it by its hash, which is short, and which a server knows once it has seen the text.
    pub(super) fn by_hash(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVALSHA", &self.hash, key, arguments)
    }

    /// Runs it by its text.
    pub(super) fn by_text(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVAL", &self.text, key, arguments)
    }

    fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(1).arg(key).arg(arguments);
        command
    }
}
