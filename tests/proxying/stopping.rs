//! The end.

use super::support::*;

#[test]
fn a_stop_lets_requests_in_flight_end() {
    let mut site = Site::new();
    let pending = site.browser().send(get("/slow"));
    let held = site.backend.next();
    let stopping = site.stop();
    held.reply(ok());
    let answer = pending.answer();
    assert_eq!((answer.status(), answer.complete), (200, true));
    stopping.join().expect("it stops");
}

#[test]
fn a_stop_waits_for_nobody_longer_than_the_drain_timeout() {
    let mut site = Site::build().listen("drain_timeout = \"300ms\"").start();
    let mut pending = site.browser().send(get("/never"));
    let _held = site.backend.next();
    let stopping = site.stop();
    assert!(pending.is_closed());
    stopping.join().expect("it stops");
}
