//! Several servers: who is asked, how many requests each may have, and who is passed over.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::*;

const SOON: Duration = Duration::from_millis(200);

/// A server that refuses connections until it is opened.
fn closed() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, format!("http://127.0.0.1:{port}"))
}

fn open(socket: Socket) -> Backend {
    socket.listen(64).unwrap();
    Backend::on(TcpListener::from(socket))
}

fn setup(servers: &[&Backend], lines: &str) -> Setup {
    Site::build().servers(&servers.iter().map(|of| of.server()).collect::<Vec<_>>()).upstream(lines)
}

/// Whether the gateway says that requests go to this server.
fn is_up(site: &Site, server: &str) -> bool {
    site.metric("session_gateway_upstream_server_up", &[("upstream", "app"), ("server", server)]) == 1
}

/// Asks, and expects this backend alone to be asked, which answers.
fn asks(site: &Site, backend: &Backend) {
    let pending = site.plain().send(get("/"));
    backend.next().reply(ok());
    assert_eq!(pending.answer().status(), 200);
}

#[test]
fn requests_go_to_each_server_in_turn() {
    let servers = [Backend::start(), Backend::start(), Backend::start()];
    let site = setup(&servers.each_ref(), "").listen("workers = 1").start();
    for _ in 0..4 {
        for server in &servers {
            asks(&site, server);
        }
    }
}

#[test]
fn those_that_are_left_are_asked_in_turn() {
    let (_closed, refusing) = closed();
    let servers = [Backend::start(), Backend::start()];
    let list = [servers[0].server(), &refusing, servers[1].server()];
    let site = Site::build().servers(&list).upstream("fail_timeout = \"1h\"").listen("workers = 1").start();
    for _ in 0..4 {
        for server in &servers {
            asks(&site, server);
        }
    }
}

#[test]
fn the_server_with_the_fewest_requests_under_way_is_asked() {
    let (slow, quick) = (Backend::start(), Backend::start());
    // Over all workers: whichever a request comes to.
    let site = setup(&[&slow, &quick], "balance = \"least-connections\"").listen("workers = 3").start();
    let first = site.plain().send(get("/slow"));
    let (held, other) = eventually("the first is asked", || {
        slow.next_within(SOON).map(|held| (held, &quick)).or_else(|| quick.next_within(SOON).map(|held| (held, &slow)))
    });
    for _ in 0..8 {
        asks(&site, other);
    }
    held.reply(ok());
    assert_eq!(first.answer().status(), 200);
}

#[test]
fn a_server_never_has_more_requests_than_it_may_and_all_are_answered() {
    let servers = [Backend::start(), Backend::start()];
    for balance in ["round-robin", "least-connections"] {
        let lines = format!("max_connections = 2\nbalance = {balance:?}");
        let site = setup(&servers.each_ref(), &lines).listen("workers = 3").start();
        let pending: Vec<_> = (0..12).map(|_| site.plain().send(get("/"))).collect();
        let mut held = vec![servers[0].next(), servers[1].next(), servers[0].next(), servers[1].next()];
        for answered in 0..12 {
            for server in &servers {
                assert!(server.next_within(Duration::from_millis(20)).is_none(), "more than it may have");
            }
            // One that ends makes a place for one.
            held.remove(0).reply(ok());
            if answered < 8 {
                held.push(eventually("one more is sent", || {
                    servers.iter().find_map(|server| server.next_within(Duration::from_millis(10)))
                }));
            }
        }
        for pending in pending {
            assert_eq!(pending.answer().status(), 200);
        }
    }
}

#[test]
fn a_request_that_finds_no_place_in_time_is_refused_and_the_next_that_finds_one_is_not() {
    let server = Backend::start();
    let site = setup(&[&server], "max_connections = 1\nconnect_timeout = \"100ms\"").start();
    let first = site.plain().send(get("/"));
    let held = server.next();
    let refused = site.plain().send(get("/")).answer();
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("5")));
    held.reply(ok());
    assert_eq!(first.answer().status(), 200);
    asks(&site, &server);
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let server = Backend::start();
    let site = setup(&[&server], "max_connections = 1").start();
    let (first, held) = (site.plain().send(get("/")), server.next());
    let waits = site.plain().send(get("/waits"));
    drop((first, held));
    server.next().reply(ok());
    assert_eq!(waits.answer().status(), 200);
}

#[test]
fn a_websocket_keeps_its_place() {
    let server = Backend::start();
    let site = setup(&[&server], "max_connections = 1\nconnect_timeout = \"100ms\"").start();
    let request = get("/socket").with("Connection", "Upgrade").with("Upgrade", "websocket");
    let mut client = site.plain().send(request.with("Sec-WebSocket-Version", "13").with("Sec-WebSocket-Key", "AA=="));
    let mut other_end = server.next();
    other_end.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.switched();
    assert_eq!(site.plain().send(get("/")).answer().status(), 503);
    drop((client, other_end));
    let answered = eventually("its place is free", || {
        let pending = site.plain().send(get("/"));
        server.next_within(SOON)?.reply(ok());
        Some(pending.answer().status())
    });
    assert_eq!(answered, 200);
}

#[test]
fn a_server_that_refuses_is_passed_over_and_comes_back() {
    let (socket, refusing) = closed();
    let other = Backend::start();
    let site = Site::build().servers(&[&refusing, other.server()]).upstream("fail_timeout = \"300ms\"").start();
    assert!(is_up(&site, &refusing));
    for _ in 0..4 {
        asks(&site, &other);
    }
    let back = open(socket);
    eventually("it is asked again", || {
        let pending = site.plain().send(get("/"));
        let exchange = eventually("one of them is asked", || {
            let short = Duration::from_millis(10);
            let first = back.next_within(short).map(|exchange| (exchange, true));
            first.or_else(|| other.next_within(short).map(|exchange| (exchange, false)))
        });
        exchange.0.reply(ok());
        assert_eq!(pending.answer().status(), 200);
        exchange.1.then_some(())
    });
    assert!(is_up(&site, &refusing) && is_up(&site, other.server()));
}

#[test]
fn a_server_that_times_out_too_often_is_asked_no_more_for_a_while() {
    let (silent, other) = (Backend::start(), Backend::start());
    let lines = "response_timeout = \"100ms\"\nmax_fails = 2\nfail_timeout = \"1h\"";
    let site = setup(&[&silent, &other], lines).listen("workers = 1").start();
    for _ in 0..2 {
        assert!(is_up(&site, silent.server()));
        assert_eq!(site.plain().send(get("/")).answer().status(), 504);
        drop(silent.next());
        asks(&site, &other);
    }
    assert!(!is_up(&site, silent.server()));
    for _ in 0..4 {
        asks(&site, &other);
    }
    silent.saw_nothing();
}

#[test]
fn where_no_failures_count_each_request_tries_the_server_again() {
    let (socket, refusing) = closed();
    let other = Backend::start();
    let lines = "max_fails = 0\nfail_timeout = \"1h\"";
    let site = Site::build().servers(&[&refusing, other.server()]).upstream(lines).listen("workers = 1").start();
    for _ in 0..3 {
        asks(&site, &other);
        assert!(is_up(&site, &refusing));
    }
    let back = open(socket);
    asks(&site, &back);
}

#[test]
fn where_all_servers_have_failed_all_are_tried() {
    let (first, first_server) = closed();
    let (_second, second_server) = closed();
    let lines = "fail_timeout = \"1h\"";
    let site = Site::build().servers(&[&first_server, &second_server]).upstream(lines).start();
    for _ in 0..3 {
        assert_eq!(site.plain().send(get("/")).answer().status(), 502);
    }
    assert!(!is_up(&site, &first_server) && !is_up(&site, &second_server));
    let back = open(first);
    for _ in 0..3 {
        asks(&site, &back);
    }
    assert!(is_up(&site, &first_server) && !is_up(&site, &second_server));
}

#[test]
fn a_server_that_is_passed_over_is_told_of_once() {
    let (socket, refusing) = closed();
    let other = Backend::start();
    let setup = Site::build().servers(&[&refusing, other.server()]).upstream("fail_timeout = \"200ms\"");
    let process = Process::start(&setup, "access = \"off\"");
    for _ in 0..4 {
        let pending = process.browser().send(get("/"));
        other.next().reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
    let log = process.logged("passed over for 200 ms");
    assert!(log.contains(&refusing), "{log}");
    let back = open(socket);
    eventually("it answers again", || {
        let pending = process.browser().send(get("/"));
        let short = Duration::from_millis(50);
        back.next_within(short).or_else(|| other.next_within(short))?.reply(ok());
        assert_eq!(pending.answer().status(), 200);
        process.logged("passed over").contains("no longer passed over").then_some(())
    });
    assert_eq!(process.logged("no longer").matches("has failed").count(), 1);
}

#[test]
fn a_server_stands_as_it_stood_when_its_upstream_changes() {
    let (_socket, refusing) = closed();
    let other = Backend::start();
    let lines = "fail_timeout = \"1h\"";
    let mut site = Site::build().servers(&[&refusing, other.server()]).upstream(lines).listen("workers = 1").start();
    for _ in 0..2 {
        asks(&site, &other);
    }
    assert!(!is_up(&site, &refusing));
    site.reload(|config| config.proxy.upstreams[0].response_timeout = Duration::from_secs(7));
    assert!(!is_up(&site, &refusing) && is_up(&site, other.server()));
}

#[test]
fn no_more_wait_than_may_and_who_comes_then_is_refused_at_once() {
    const MOST: usize = 1024;
    let server = Backend::start();
    let site = setup(
        &[&server],
        "max_connections = 1
connect_timeout = \"30s\"",
    )
    .start();
    let first = site.plain().send(get("/held"));
    let held = server.next();
    // Over HTTP/2, lest each of them need a socket.
    let clients: Vec<_> = (0..11).map(|_| site.http2()).collect();
    let asked: Vec<_> = (0..1100).map(|number| clients[number / 100].send("GET", "/", &[])).collect();
    eventually("all have come", || {
        let refused = site.metric_if_any("session_gateway_requests_total", &[("status", "503")]);
        (refused == Some(1100 - MOST as u64)).then_some(())
    });
    let mut answered = asked.into_iter().filter_map(|asked| asked.outcome_within(Duration::from_millis(1)));
    assert!(answered.all(|outcome| outcome.is_ok_and(|answer| answer.status == 503)));
    drop(answered);
    drop(clients);
    held.reply(ok());
    assert_eq!(first.answer().status(), 200);
}
