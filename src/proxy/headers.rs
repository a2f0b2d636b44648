//! Every header rule, once.

/// The session headers' prefix and how much of them an upstream is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What every session header's name begins with, such as `X-Session-`.
    pub prefix: String,
    /// The most bytes of session data sent upstream in a header; larger data is announced by its size.
    pub data_budget: usize,
}
