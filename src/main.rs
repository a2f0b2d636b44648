//! Arguments → config → run until signal.
fn main() {}
