//! Host and path to route.

/// One route as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host it serves: exact, `*.example.com`, or any.
    pub host: Option<String>,
    /// The path prefix it serves, by whole segments; starts with `/`.
    pub path: String,
    /// Index of its upstream.
    pub upstream: usize,
    /// Whether requests on it have sessions at all.
    pub session: bool,
    /// Whether requests on it leave the idle time alone (polling).
    pub passive: bool,
}
