//! The connections to upstreams: which are used again, and what is sent once more.

use super::support::*;

#[test]
fn upstream_connections_are_used_again() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    for _ in 0..10 {
        site.look(&browser);
    }
    assert!(site.backend.connections() <= 2, "{} connections for ten requests in a row", site.backend.connections());
}

#[test]
fn nothing_of_a_request_or_its_answer_is_in_the_next_answer_of_the_connection() {
    let site = Site::build().listen("workers = 1").start();
    let extra: Vec<_> = (0..40).map(|number| (format!("X-{number}"), "said before".to_owned())).collect();
    // Once more than there is room kept for.
    for lines in [1, 40, 1] {
        let request = extra[..lines].iter().fold(get("/"), |request, (name, value)| request.with(name, value));
        let pending = site.browser().send(request);
        let exchange = site.backend.next();
        exchange.reply(extra[..lines].iter().fold(ok(), |reply, (name, value)| reply.with(&format!("A{name}"), value)));
        assert_eq!(pending.answer().text_head().matches("said before").count(), lines);
        assert!(!site.visit(&site.browser(), get("/"), ok()).1.text_head().contains("said before"));
    }
    assert!(site.backend.connections() <= 2, "they are used again");
}

#[test]
fn a_connection_is_not_shared_before_its_answer_is_complete() {
    let site = Site::build().listen("workers = 1").start();
    let mut first = site.browser().send(get("/one"));
    let mut one = site.backend.next();
    one.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    first.until(b"hello");
    let second = site.browser().send(get("/two"));
    let two = site.backend.next();
    assert_ne!(one.connection(), two.connection());
    two.reply(ok());
    assert_eq!(second.answer().status(), 200);
    one.write(b"world");
    first.until(b"world");
}

#[test]
fn unfinished_uploads_do_not_take_the_places_of_idle_connections() {
    let site = Site::build().listen("workers = 1").upstream("max_idle = 2").start();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut pending = site.browser().send(request("POST", "/up").with("Content-Length", "1000"));
        pending.write(b"x");
        let mut exchange = site.backend.next();
        exchange.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(pending.head().status(), 401);
        pending.until(b"no");
        held.push((pending, exchange));
    }
    let (before, browser) = (site.backend.connections(), site.browser());
    for _ in 0..10 {
        site.look(&browser);
    }
    let made = site.backend.connections() - before;
    assert!(made <= 2, "{made} connections for ten requests in a row");
}

#[test]
fn an_idle_connection_that_the_upstream_closed_is_not_used() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    for _ in 0..5 {
        let pending = browser.send(get("/"));
        site.backend.next().respond_and_go(ok());
        assert_eq!(pending.answer().status(), 200);
        let (_, answer) = site.visit(&browser, post("/"), ok());
        assert_eq!(answer.status(), 200, "not even a POST notices");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let site = Site::build().upstream("keepalive = \"300ms\"").start();
    let pending = site.browser().send(get("/"));
    assert!(site.backend.next().closes_after(ok()));
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_connection_that_any_line_closes_is_not_kept() {
    let site = Site::new();
    for reply in [
        ok().with("Connection", "close").with("Connection", "keep-alive"),
        ok().with("Connection", "keep-alive").with("Connection", "close"),
    ] {
        let pending = site.browser().send(get("/"));
        assert!(site.backend.next().closes_after(reply));
        assert_eq!(pending.answer().status(), 200);
    }
}

/// What was announced may still come, and would be taken for the answer to the next request.
#[test]
fn a_connection_is_not_kept_after_a_204_that_announces_a_body() {
    let site = Site::new();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let pending = site.browser().send(get("/"));
        let mut exchange = site.backend.next();
        exchange.write(format!("HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n").as_bytes());
        assert!(exchange.is_given_up(), "{framing}");
        assert_eq!(pending.answer().status(), 204);
    }
}

#[test]
fn no_connection_is_kept_idle_where_none_may_be() {
    let site = Site::build().upstream("max_idle = 0").start();
    for _ in 0..3 {
        let pending = site.browser().send(get("/"));
        assert!(site.backend.next().closes_after(ok()));
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn a_get_on_a_connection_that_dies_under_it_is_sent_once_more() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    let first = site.backend.next();
    assert_eq!(first.connection(), 0, "a used connection");
    drop(first);
    let second = site.backend.next();
    assert_eq!(second.target(), "/again");
    second.reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn a_get_is_not_sent_a_third_time() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    drop(site.backend.next());
    drop(site.backend.next());
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}

#[test]
fn a_post_is_never_sent_twice() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(request("POST", "/pay").body("10"));
    drop(site.backend.next());
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}

#[test]
fn a_get_with_half_an_answer_is_not_sent_again() {
    let site = Site::build().listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    let pending = browser.send(get("/again"));
    site.backend.next().respond_and_close(b"HTTP/1.1 200 O");
    assert_eq!(pending.answer().status(), 502);
    site.backend.saw_nothing();
}
