//! The scripts, each of which changes one key in one step.

use redis::{Cmd, cmd};

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
    text: &'static str,
    hash: String,
}

macro_rules! on_entry {
    ($file:literal) => {
        Script::new(concat!(include_str!("prelude.lua"), include_str!($file)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            edit: on_entry!("edit.lua"),
            touch: on_entry!("touch.lua"),
            settle: on_entry!("settle.lua"),
            shorten: on_entry!("shorten.lua"),
            create: on_entry!("create.lua"),
            leave: on_entry!("leave.lua"),
            undo: on_entry!("undo.lua"),
            bar: on_entry!("bar.lua"),
            end: on_entry!("end.lua"),
            index: Script::new(include_str!("index.lua")),
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// Runs it by its hash, which is short, and which a server knows once it has seen the text.
    pub(super) fn by_hash(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVALSHA", &self.hash, key, arguments)
    }

    /// Runs it by its text.
    pub(super) fn by_text(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVAL", self.text, key, arguments)
    }

    fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(1).arg(key).arg(arguments);
        command
    }
}
