//! The contract every session store keeps, and the enum of them.

pub mod memory;

/// Which store holds the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// This process's memory.
    Memory(memory::Settings),
}
