//! What the session costs a request, without I/O. What the near cache costs is measured in front of a real Redis, which
//! `redis-server` must be installed for.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::sleep;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Change, Edit, KeyRing, Kind, Lifetimes, Patch, Secret, Ticket, UnixTime};
use session_gateway::sessions::{Answer, Cookie, Counters, Sessions, Settings};
use session_gateway::store::{Memory, Redis, Store, memory, near_cache, redis};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: UnixTime = UnixTime(1_800_000_000);

criterion_group!(benches, tickets, requests, kept);
criterion_main!(benches);

/// Promise: verifying takes at most 0.5 µs.
fn tickets(criterion: &mut Criterion) {
    let ring = ring();
    let ticket = Ticket { kind: Kind::Session, issued_at: NOW, secret: Secret::random() };
    let value = ticket.sign(&ring);
    criterion
        .bench_function("ticket/verify", |b| b.iter(|| Ticket::verify(black_box(value.as_bytes()), &ring).is_ok()));
    criterion.bench_function("ticket/sign", |b| b.iter(|| black_box(&ticket).sign(&ring)));
    criterion.bench_function("ticket/store key", |b| b.iter(|| black_box(&ticket.secret).store_key()));
    criterion.bench_function("ticket/new secret", |b| b.iter(Secret::random));
    let mut forged = *value.as_bytes();
    forged[95] ^= 1;
    criterion.bench_function("ticket/refuse forged", |b| b.iter(|| Ticket::verify(black_box(&forged), &ring).is_err()));
}

/// Promise: opening and committing an unchanged session takes at most 1 µs, its ticket verified.
fn requests(criterion: &mut Criterion) {
    let sessions = sessions(in_memory());
    let value = ready(log_in(&sessions));
    let unchanged = Change::default();
    let request = |value: Option<&[u8]>, change: &Change| {
        let ticket = sessions.ticket(value.into_iter(), NOW);
        let visit = ready(sessions.open(ticket, true, NOW)).expect("memory does not fail");
        ready(sessions.commit(&visit, change, Answer::Private, NOW)).expect("memory does not fail")
    };
    assert_eq!(request(Some(&value), &unchanged), Cookie::Keep);
    criterion.bench_function("request/verify, open, commit: unchanged", |b| {
        b.iter(|| request(black_box(Some(&value)), &unchanged));
    });
    let verified = sessions.ticket(std::iter::once(&value[..]), NOW);
    criterion.bench_function("request/open, commit: unchanged", |b| {
        b.iter(|| {
            let visit = ready(sessions.open(black_box(verified.clone()), true, NOW)).expect("memory does not fail");
            ready(sessions.commit(&visit, &unchanged, Answer::Private, NOW)).expect("memory does not fail")
        });
    });
    let Cookie::Set { ticket: guest, .. } = request(None, &unchanged) else { panic!("a guest gets a ticket") };
    criterion.bench_function("request/verify, open, commit: guest", |b| {
        b.iter(|| request(black_box(Some(guest.as_bytes())), &unchanged));
    });
    criterion.bench_function("request/open, commit: no cookie", |b| b.iter(|| request(None, &unchanged)));
    let patch = edit(br#"{"cart":["a","b","c"]}"#);
    criterion.bench_function("request/verify, open, commit: patched", |b| {
        b.iter(|| request(black_box(Some(&value)), &patch));
    });
}

/// Promise: a session that the near cache has costs at most 0.3 µs more than one in memory.
fn kept(criterion: &mut Criterion) {
    let server = Server::start();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let near_cache = Some(near_cache::Settings { max_bytes: 1 << 20, max_stale: Duration::from_mins(5) });
    let settings = redis::Settings {
        servers: redis::Servers::One(redis::Address { host: "127.0.0.1".to_owned(), port: server.port }),
        tls: false,
        ca: None,
        user: None,
        password: None,
        database: 0,
        key_prefix: "bench".to_owned(),
        near_cache,
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
    };
    let sessions = sessions(Store::Redis(Redis::new(settings, lifetimes(), None)));
    let open = |value: &[u8]| sessions.open(sessions.ticket(std::iter::once(value), NOW), true, NOW);
    let value = runtime.block_on(async {
        let value = log_in(&sessions).await;
        open(&value).await.expect("the server stands");
        value
    });
    let verified = sessions.ticket(std::iter::once(&value[..]), NOW);
    criterion.bench_function("request/open, commit: unchanged, in the near cache", |b| {
        b.iter(|| {
            let visit = ready(sessions.open(black_box(verified.clone()), true, NOW)).expect("it is kept");
            ready(sessions.commit(&visit, &Change::default(), Answer::Private, NOW)).expect("nothing is stored")
        });
    });
}

/// A `redis-server` of its own. Killed when dropped.
struct Server {
    port: u16,
    child: Child,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"];
        let child = Command::new("redis-server")
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            sleep(Duration::from_millis(10));
        }
        Self { port, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn log_in(sessions: &Sessions) -> Vec<u8> {
    let change = Change { user: Some("alice".into()), ..edit(br#"{"cart":["a","b"]}"#) };
    let visit = sessions.open(None, true, NOW).await.expect("no store is asked");
    match sessions.commit(&visit, &change, Answer::Private, NOW).await.expect("the store has room") {
        Cookie::Set { ticket, .. } => ticket.as_bytes().to_vec(),
        other => panic!("a login sets a cookie, and not {other:?}"),
    }
}

fn edit(patch: &[u8]) -> Change {
    let patch = Patch::parse(patch).expect("it is a JSON object");
    Change { edit: Edit { patch: Some(patch), ..Edit::default() }, ..Change::default() }
}

fn ring() -> KeyRing {
    KeyRing::new(&[[7; 32]], "__Host-sid").expect("one long key")
}

fn lifetimes() -> Lifetimes {
    let hours = |idle, lifetime| Limits { idle: Duration::from_hours(idle), lifetime: Duration::from_hours(lifetime) };
    Lifetimes {
        user: hours(1, 12),
        anonymous: hours(24, 168),
        persistent: hours(744, 744),
        renew_after: Duration::from_hours(1),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    }
}

fn in_memory() -> Store {
    let bounds = memory::Settings { max_sessions: 1000, max_bytes: u64::MAX };
    Store::Memory(Arc::new(Memory::new(bounds, lifetimes())))
}

fn sessions(store: Store) -> Sessions {
    let counters = Arc::new(Counters::default());
    let settings = Settings { lifetimes: lifetimes(), guest_cookie: true, max_data: 64 * 1024, max_per_user: None };
    Sessions::new(store, Arc::new(ring()), Arc::new(settings), counters)
}

/// Neither memory nor what is kept waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it never waits"),
    }
}
