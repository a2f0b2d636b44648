//! `X-Session-Patch`.

use serde_json::json;

use super::support::*;

#[test]
fn a_patch_sets_keys_null_removes_them_and_others_are_untouched() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1,"b":{"deep":[1,2]},"c":"three"}"#);
    site.patch(&browser, r#"{"a":2,"c":null,"d":false,"never":null}"#);
    assert_eq!(site.look(&browser).data(), Some(json!({"a": 2, "b": {"deep": [1, 2]}, "d": false})));
    // A value is set as a whole, and a null inside it is a value.
    site.patch(&browser, r#"{"b":{"other":null}}"#);
    assert_eq!(site.look(&browser).data(), Some(json!({"a": 2, "b": {"other": null}, "d": false})));
}

#[test]
fn numbers_are_kept_as_they_were_written() {
    let site = Site::new();
    let browser = site.keep(r#"{"big":12345678901234567890123,"exact":0.10,"e":1E3}"#);
    let seen = site.look(&browser);
    let data = seen.session("Data").expect("data");
    for number in ["12345678901234567890123", "0.10", "1E3"] {
        assert!(data.contains(number), "{data}");
    }
}

#[test]
fn a_patch_without_effect_keeps_nothing_for_a_guest() {
    let site = Site::new();
    for patch in ["{}", r#"{"a":null}"#] {
        let browser = site.guest();
        let answer = site.patch(&browser, patch);
        assert_eq!(answer.sid(), None, "{}", answer.text_head());
        site.look(&browser).assert_no_session();
    }
}

#[test]
fn a_session_left_empty_without_a_user_is_deleted_with_its_cookie() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1,"b":2}"#);
    let copy = browser.copy();
    site.patch(&browser, r#"{"a":null}"#);
    assert!(site.look(&browser).data().is_some());
    let answer = site.patch(&browser, r#"{"b":null}"#);
    assert!(answer.deletes_sid(), "{}", answer.text_head());
    assert_eq!(browser.sid(), None);
    site.look(&copy).assert_no_session();
}

#[test]
fn a_user_session_left_empty_stays() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    let answer = site.patch(&browser, r#"{"a":null}"#);
    assert!(!answer.deletes_sid());
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_patch_is_applied_on_any_status_below_500() {
    let site = Site::new();
    let browser = site.guest();
    let lines = ["201 Created", "204 No Content", "303 See Other", "304 Not Modified", "404 Not Found", "409 Conflict"];
    for line in lines {
        let key = &line[..3];
        let patch = format!(r#"{{"s{key}":true}}"#);
        let (_, answer) = site.visit(&browser, post("/"), status(line).session("Patch", &patch));
        assert_eq!(answer.status().to_string(), key);
    }
    let data = site.look(&browser).data().expect("kept");
    for line in lines {
        assert_eq!(data[format!("s{}", &line[..3])], json!(true));
    }
    let (_, answer) = site.visit(&browser, request("HEAD", "/"), ok().session("Patch", r#"{"head":true}"#));
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(site.look(&browser).data().expect("kept")["head"], json!(true));
}
