//! Redis as the other tests use it: that servers end, freeze, fail over and come back as they are told to. A fault test
//! whose fault does not happen would prove nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::redis::{Cluster, Redis, Sentinels, Value};
use crate::support::*;

fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

/// A client of the server's port, as a gateway is one.
fn dial(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ping(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn says_nothing(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
    let heard = ping(stream).map_err(|error| error.kind());
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    heard == Err(ErrorKind::WouldBlock)
}

#[test]
fn a_durable_server_has_what_it_acknowledged_after_a_kill() {
    let mut redis = Redis::build().durable().start();
    let port = redis.port();
    redis.command(&["SET", "key", "value"]);
    redis.kill();
    assert_eq!(dial(port).map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
    redis.restart();
    assert_eq!((redis.port(), redis.command(&["GET", "key"])), (port, text("value")));
}

#[test]
fn another_server_forgets_all_by_a_kill() {
    let mut redis = Redis::start();
    redis.command(&["SET", "key", "value"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.command(&["GET", "key"]), Value::Nil);
}

#[test]
fn a_frozen_server_says_nothing_until_it_thaws() {
    let redis = Redis::start();
    let mut stream = dial(redis.port()).expect("a connection");
    assert_eq!(ping(&mut stream).expect("a reply"), "+PONG\r\n");
    redis.freeze();
    assert!(says_nothing(&mut stream));
    redis.thaw();
    let mut late = [0; 7];
    stream.read_exact(&mut late).expect("what was asked while it was frozen is answered after it");
}

#[test]
fn a_server_with_a_password_or_a_user_refuses_others() {
    let redis = Redis::build().password("opensesame").user("gateway", "secret", "~* +@all").start();
    let mut stream = dial(redis.port()).expect("a connection");
    assert_eq!(ping(&mut stream).expect("a reply"), "-NOAUTH");
    let mut client = redis.client();
    assert_eq!(client.command(&["AUTH", "gateway", "secret"]).expect("a reply"), text("OK"));
    assert_eq!(client.command(&["ACL", "WHOAMI"]).expect("a reply"), text("gateway"));
    assert!(redis.url().starts_with("redis://gateway:secret@127.0.0.1:"));
}

#[test]
fn a_server_with_tls_shows_a_certificate_of_its_own_authority() {
    let redis = Redis::build().tls().start();
    let roots = site::roots(&redis.authority());
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connection = rustls::ClientConnection::new(std::sync::Arc::new(roots), name).expect("a TLS client");
    let mut stream = rustls::StreamOwned::new(connection, dial(redis.port()).expect("a connection"));
    stream.write_all(b"PING\r\n").expect("TLS");
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).expect("a reply through TLS");
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn calls_count_what_others_ask_and_nothing_of_the_tests_own_upkeep() {
    let redis = Redis::start();
    let mut stream = dial(redis.port()).expect("a connection");
    ping(&mut stream).expect("a reply");
    assert_eq!(redis.calls().len(), 0);
    stream.write_all(b"GET a\r\nGET b\r\n").expect("a socket");
    let counted = eventually("both are counted", || redis.calls().get("get").copied().filter(|count| *count == 2));
    assert_eq!((counted, redis.calls().len()), (2, 1));
}

#[test]
fn a_dump_shows_every_string_of_every_database() {
    let redis = Redis::start();
    let mut client = redis.client();
    client.command(&["SET", "s", "one"]).expect("a reply");
    client.command(&["HSET", "h", "field", "two"]).expect("a reply");
    client.command(&["PEXPIRE", "h", "60000"]).expect("a reply");
    client.command(&["SELECT", "3"]).expect("a reply");
    client.command(&["ZADD", "z", "7", "three"]).expect("a reply");
    let dump = redis.dump();
    let strings: Vec<_> = dump.strings().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(strings, ["h", "field", "two", "s", "one", "z", "three", "7"]);
    let lasting: Vec<_> = dump.entries.iter().map(|entry| entry.ttl.is_none()).collect();
    assert_eq!(lasting, [false, true, true]);
}

#[test]
fn sentinels_make_the_replica_master_when_the_master_is_killed() {
    let mut sentinels = Sentinels::start();
    let old = sentinels.master().expect("they agree");
    sentinels.servers[old].command(&["SET", "key", "value"]);
    sentinels.settle();
    let new = sentinels.fail_over();
    assert_ne!(old, new);
    assert_eq!(sentinels.servers[new].command(&["GET", "key"]), text("value"));
    assert_eq!(sentinels.servers[new].command(&["SET", "key", "another"]), text("OK"));
}

#[test]
fn a_clusters_replica_takes_over_the_slots_of_its_master() {
    let mut cluster = Cluster::start();
    // "foo" has slot 12182: the third's.
    cluster.nodes[2].command(&["SET", "foo", "bar"]);
    cluster.settle();
    cluster.fail_over(2);
    assert_eq!(cluster.nodes[5].command(&["GET", "foo"]), text("bar"));
    assert_eq!(cluster.nodes[5].command(&["SET", "foo", "baz"]), text("OK"));
}

/// A server, the way to it, and a connection that goes that way.
fn through_a_relay() -> (Redis, Relay, TcpStream) {
    let redis = Redis::start();
    let relay = Relay::to(redis.port());
    let mut stream = dial(relay.port()).expect("a connection");
    assert_eq!(ping(&mut stream).expect("a reply"), "+PONG\r\n");
    (redis, relay, stream)
}

#[test]
fn a_relay_keeps_every_byte_for_as_long_as_it_is_told() {
    let (_redis, relay, mut stream) = through_a_relay();
    relay.suffer(Fault::Latency(Duration::from_millis(100)));
    let began = Instant::now();
    assert_eq!(ping(&mut stream).expect("a reply"), "+PONG\r\n");
    assert!(began.elapsed() >= Duration::from_millis(200), "there and back");
    relay.heal();
    let began = Instant::now();
    assert_eq!(ping(&mut stream).expect("a reply"), "+PONG\r\n");
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[test]
fn a_silent_relay_accepts_and_lets_nothing_pass_until_it_heals() {
    let (_redis, relay, mut stream) = through_a_relay();
    relay.suffer(Fault::Silence);
    let mut another = dial(relay.port()).expect("it is accepted");
    assert!(says_nothing(&mut stream) && says_nothing(&mut another));
    relay.heal();
    for mut stream in [stream, another] {
        let mut late = [0; 7];
        stream.read_exact(&mut late).expect("what waited comes through");
    }
}

#[test]
fn a_relay_cuts_a_reply_in_the_middle() {
    let (_redis, relay, mut stream) = through_a_relay();
    relay.suffer(Fault::CutAfter(10));
    assert_eq!(ping(&mut stream).expect("seven bytes of ten"), "+PONG\r\n");
    stream.write_all(b"PING\r\n").expect("a socket");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"+PO");
    let mut another = dial(relay.port()).expect("a connection");
    assert_eq!(ping(&mut another).expect("it counts anew for each"), "+PONG\r\n");
    assert_eq!(relay.accepted(), 2);
}

#[test]
fn a_relay_hangs_up_and_refuses() {
    let (_redis, relay, mut stream) = through_a_relay();
    relay.suffer(Fault::Hangup);
    assert!(ping(&mut stream).is_err());
    assert!(ping(&mut dial(relay.port()).expect("it is accepted")).is_err());
    relay.suffer(Fault::Refusal);
    assert_eq!(dial(relay.port()).map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
    relay.heal();
    assert_eq!(ping(&mut dial(relay.port()).expect("a connection")).expect("a reply"), "+PONG\r\n");
}

#[test]
fn a_relay_holds_replies_and_hands_them_over_in_one_piece() {
    let (_redis, relay, mut stream) = through_a_relay();
    // A reply is counted once it is on its way, and may arrive before.
    eventually("the first reply is counted", || (relay.replied() == 7).then_some(()));
    relay.suffer(Fault::HeldReplies);
    for count in [14, 21] {
        stream.write_all(b"PING\r\n").expect("a socket");
        eventually("the server has answered", || (relay.replied() == count).then_some(()));
    }
    relay.heal();
    let mut both = [0; 14];
    assert_eq!(stream.read(&mut both).expect("two replies"), 14);
}
