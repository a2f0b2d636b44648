//! How many connections there may be.

use super::*;

#[test]
fn connection_limit_holds_and_recovers() {
    let server = Server::start(Edge::Http, Limits { slots: Slots::new(2), ..limits() });
    let mut open = [server.connect(), server.connect()];
    for stream in &mut open {
        assert_eq!(get(stream, "/hello"), "hello");
        server.wait_for("/hello");
    }
    let mut third = server.connect();
    third.write_all(GET).unwrap();
    eventually("the third waits", || read(&server.counters.at_limit) == 1);
    assert_eq!(server.arrived.recv_timeout(SHORT), Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(read(&server.counters.open), 2);

    let [first, mut second] = open;
    drop(first);
    assert_eq!(response(&mut third).1, "hello");
    assert_eq!(get(&mut second, "/hello"), "hello");
}

#[test]
fn connection_limit_is_shared_by_all_listeners() {
    let slots = Slots::new(1);
    let one = Server::start(Edge::Http, Limits { slots: slots.clone(), ..limits() });
    let other = Server::start(Edge::Http, Limits { slots, ..limits() });
    let mut first = one.connect();
    assert_eq!(get(&mut first, "/hello"), "hello");
    let mut second = other.connect();
    second.write_all(GET).unwrap();
    eventually("the second waits", || read(&other.counters.at_limit) == 1);
    drop(first);
    assert_eq!(response(&mut second).1, "hello");
}
