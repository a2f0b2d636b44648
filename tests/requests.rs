//! What holds for requests before anything is known of their session: what they are called, and how much they may ask for.

mod support;

#[path = "requests/names.rs"]
mod names;
