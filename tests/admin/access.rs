//! Who may call.

use std::fs;

use super::error;
use super::support::*;

#[test]
fn where_a_token_is_set_it_is_required() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("token");
    fs::write(&file, "correct-horse-battery-staple\n").expect("a writable directory");
    let site = Site::build().admin(&format!("token_file = {file:?}")).start();
    let alice = site.login("alice");
    let id = site.look(&alice).id().to_owned();
    let calls = [
        get("/sessions?user=alice"),
        get(&format!("/sessions/{id}")),
        request("DELETE", &format!("/sessions/{id}")),
        request("DELETE", "/sessions?user=alice"),
        get("/metrics"),
    ];
    let wrong = [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer correct-horse-battery-stapl",
        "Bearer correct-horse-battery-staple2",
        "Basic correct-horse-battery-staple",
        "correct-horse-battery-staple",
    ];
    for call in &calls {
        assert_eq!(site.admin(call.clone()).status(), 401, "{call:?}");
        for header in wrong {
            assert_eq!(site.admin(call.clone().with("Authorization", header)).status(), 401, "{call:?} {header}");
        }
    }
    assert_eq!(site.look(&alice).user(), Some("alice"));
    for (call, scheme) in [(&calls[0], "Bearer"), (&calls[4], "bearer"), (&calls[2], "BEARER")] {
        let authorization = format!("{scheme} correct-horse-battery-staple");
        let answer = site.admin(call.clone().with("Authorization", &authorization));
        assert_eq!(answer.status(), 200, "{call:?}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.admin(get(path)).status(), 200, "a probe has no token: {path}");
    }
}

#[test]
fn a_page_under_another_name_cannot_reach_an_address_without_a_token() {
    let site = Site::new();
    site.login("alice");
    for host in ["evil.example", "evil.example:9900", "localhost.evil.example"] {
        let answer = site.admin(get("/sessions?user=alice").with("Host", host));
        assert_eq!(error(&answer), 403, "{host}");
    }
}
