//! The log and the access line.

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least severe event logged, in `tracing`'s filter language, such as `info`.
    pub level: String,
    /// One line a request, on standard output.
    pub access: Access,
}

/// The access line's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// None.
    Off,
    /// Words for people.
    Text,
    /// One JSON object a line.
    Json,
}
