//! The admin address: health, metrics, the sessions API; and what the logs say.

#[path = "admin/access.rs"]
mod access;
#[path = "admin/api.rs"]
mod api;
#[path = "admin/logs.rs"]
mod logs;
#[path = "admin/metrics.rs"]
mod metrics;
mod support;

use serde_json::Value;
use support::*;

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.header("Content-Type"), Some("application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The error of an answer that is one, and its status.
fn error(answer: &Answer) -> u16 {
    let body = body(answer);
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    answer.status()
}

fn sessions(site: &Site, user: &str) -> Vec<Value> {
    let answer = site.admin(get(&format!("/sessions?user={user}")));
    assert_eq!(answer.status(), 200);
    body(&answer)["sessions"].as_array().expect("a list").clone()
}
