//! Which connections may carry a further request, and which requests may be sent again.

use std::time::Duration;

use crate::support::wire::chunk;
use crate::support::*;

/// A gateway of one worker, of which a connection to its backend is idle.
fn with_an_idle_connection(setup: Setup) -> (Site, Browser) {
    let site = setup.listen("workers = 1").start();
    let browser = site.browser();
    site.look(&browser);
    (site, browser)
}

#[test]
fn what_is_not_idempotent_or_has_a_body_is_sent_once_on_a_connection_that_dies_under_it() {
    for asked in [
        post("/without-a-body"),
        request("PATCH", "/without-a-body"),
        request("BREW", "/of-no-known-method"),
        request("PUT", "/with-a-body").body("10"),
        get("/with-a-body").body("10"),
    ] {
        let (site, browser) = with_an_idle_connection(Site::build());
        let pending = browser.send(asked.clone());
        let mut exchange = site.backend.next();
        assert_eq!(exchange.connection(), 0, "a used connection");
        exchange.body();
        drop(exchange);
        assert_eq!(pending.answer().status(), 502, "{asked:?}");
        site.backend.saw_nothing();
    }
}

#[test]
fn a_connection_on_which_more_than_the_answer_came_carries_no_further_request() {
    let (site, browser) = with_an_idle_connection(Site::build());
    for surplus in ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", "x", "\r\n", "0\r\n\r\n"] {
        let pending = browser.send(get("/"));
        let mut exchange = site.backend.next();
        exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{surplus}").as_bytes());
        assert_eq!(pending.answer().text(), "ok");
        assert!(exchange.is_given_up(), "{surplus:?}");
    }
}

#[test]
fn a_connection_whose_answer_has_a_length_beside_its_chunks_carries_no_further_request() {
    let (site, browser) = with_an_idle_connection(Site::build());
    for length in [2, 0, 100] {
        let pending = browser.send(get("/"));
        let mut exchange = site.backend.next();
        let framing = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
        exchange.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n2\r\nok\r\n0\r\n\r\n").as_bytes());
        assert_eq!(pending.answer().text(), "ok");
        assert!(exchange.is_given_up(), "{length}");
    }
}

#[test]
fn a_connection_whose_request_is_cut_short_under_its_answer_carries_no_further_request() {
    let route = "path = \"/\"\nupstream = \"app\"\nmax_body_size = \"10B\"";
    let (site, browser) = with_an_idle_connection(Site::build().routes(&[route]));
    let mut pending = browser.send_raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    pending.write(&chunk(b"01234"));
    let mut exchange = site.backend.next();
    exchange.until(b"01234");
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    assert_eq!(pending.head().status(), 200);
    pending.until(b"ok");
    // More than its route allows: what the backend has is half of a request, and its next one would begin within that.
    pending.write(&chunk(b"0123456789"));
    assert!(exchange.is_held_for(Duration::from_millis(100)));
    exchange.write(b"ok");
    pending.until(b"ok");
    assert!(exchange.is_given_up());
}
