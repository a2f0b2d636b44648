//! A pool whose server's name changes its addresses, by a resolver that does as it is told.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::LocalRuntime;
use tokio::task::yield_now;

use super::*;
use crate::proxy::cookies::rules::Rules;
use crate::proxy::headers;
use crate::proxy::upstream::{Balance, Protocol, Tolerance, Trust};

const SECOND: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(30);

type Told = Rc<RefCell<Result<Vec<SocketAddr>, ErrorKind>>>;

/// An upstream with one server, and nothing special.
pub(in crate::proxy::upstream) fn settings() -> Settings {
    Settings {
        name: "app".to_owned(),
        servers: vec![Server::Tcp { host: "app.test".to_owned(), port: 80, protocol: Protocol::Http1 }],
        balance: Balance::RoundRobin,
        max_connections: None,
        tolerance: Tolerance { max_fails: 1, fail_timeout: SECOND },
        health: None,
        tls: None,
        trust: Trust::Full,
        jar: None,
        cookies: Rules::default(),
        connect_timeout: SECOND,
        resolve_every: EVERY,
        response_timeout: SECOND,
        body_timeout: SECOND,
        websocket_timeout: SECOND,
        keepalive: Duration::from_hours(1),
        max_idle: 8,
    }
}

fn pool() -> (Rc<Pool>, Told) {
    let settings = settings();
    let names = Names::new(&headers::Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).unwrap();
    let told = Told::new(RefCell::new(Ok(Vec::new())));
    let resolver = Resolver::Told(Rc::clone(&told));
    let shared = Arc::new(Shared::new(&settings, None, None));
    (Rc::new(Pool::with(&settings, 0, shared, Rc::new(names), resolver)), told)
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses: its port is bound, and nobody listens.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

async fn connect(pool: &Rc<Pool>) -> (Lease, SocketAddr) {
    let lease = Pool::connect(pool, SECOND).await.unwrap();
    let Carrier::Http1(connection) = &lease.carrier else { panic!("HTTP/1.1 is spoken here") };
    let peer = connection.peer().unwrap();
    (lease, peer)
}

fn rest(lease: Lease) {
    let Lease { carrier: Carrier::Http1(connection), pool, .. } = lease else { panic!("HTTP/1.1 is spoken here") };
    pool.idle.borrow_mut().push(Idle { connection, since: pool.age.get() });
}

/// Lets time pass, and what is due by then happen.
async fn pass(pool: &Rc<Pool>, time: Duration) {
    Pool::age(pool, time, Duration::from_hours(1));
    for _ in 0..10 {
        yield_now().await;
    }
}

fn run(test: impl Future<Output = ()>) {
    LocalRuntime::new().unwrap().block_on(test);
}

#[test]
fn all_addresses_of_a_name_are_used_in_turn() {
    run(async {
        let ((_first, first), (_second, second)) = (server().await, server().await);
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![first, second]);
        for expected in [first, second, first, second] {
            assert_eq!(connect(&pool).await.1, expected);
        }
    });
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next() {
    run(async {
        let ((_refusing, refusing), (_listening, listening)) = (refusing(), server().await);
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![refusing, listening]);
        for _ in 0..3 {
            assert_eq!(connect(&pool).await.1, listening);
        }
        *told.borrow_mut() = Ok(vec![refusing]);
        pass(&pool, EVERY).await;
        let refused = Pool::connect(&pool, SECOND).await.unwrap_err();
        assert!(matches!(&refused, Error::Connect { server, .. } if server == "http://app.test:80"), "{refused}");
    });
}

#[test]
fn a_changed_address_is_followed_and_connections_to_the_old_one_are_closed() {
    run(async {
        let ((_old, old), (_new, new)) = (server().await, server().await);
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![old]);
        rest(connect(&pool).await.0);
        *told.borrow_mut() = Ok(vec![new]);
        pass(&pool, EVERY.saturating_sub(SECOND)).await;
        assert_eq!(pool.idle.borrow().len(), 1, "nobody asks before it is time");
        pass(&pool, SECOND).await;
        assert_eq!(pool.idle.borrow().len(), 0);
        assert_eq!(connect(&pool).await.1, new);
    });
}

#[test]
fn a_connection_that_was_in_use_when_its_address_went_serves_no_further_request() {
    run(async {
        let ((_old, old), (_new, new)) = (server().await, server().await);
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![old]);
        let mut lease = connect(&pool).await.0;
        *told.borrow_mut() = Ok(vec![new]);
        pass(&pool, EVERY).await;
        lease.head_mut().keeps = true;
        lease.release();
        assert!(Pool::idle(&pool).is_none());
    });
}

#[test]
fn an_address_that_stays_keeps_its_connections() {
    run(async {
        let ((_stays, stays), (_comes, comes)) = (server().await, server().await);
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![stays]);
        rest(connect(&pool).await.0);
        *told.borrow_mut() = Ok(vec![comes, stays]);
        pass(&pool, EVERY).await;
        assert_eq!(pool.idle.borrow().len(), 1);
        assert!(pool.addresses.as_ref().unwrap().has(comes));
    });
}

#[test]
fn a_resolver_that_fails_leaves_the_last_known_addresses_in_use() {
    run(async {
        let (_server, address) = server().await;
        let (pool, told) = pool();
        *told.borrow_mut() = Ok(vec![address]);
        rest(connect(&pool).await.0);
        for failure in [Err(ErrorKind::TimedOut), Ok(Vec::new())] {
            *told.borrow_mut() = failure;
            pass(&pool, EVERY).await;
            assert_eq!(pool.idle.borrow().len(), 1);
            assert_eq!(connect(&pool).await.1, address);
        }
    });
}

#[test]
fn a_name_that_was_never_found_is_looked_up_for_each_request() {
    run(async {
        let (_server, address) = server().await;
        let (pool, told) = pool();
        *told.borrow_mut() = Err(ErrorKind::NotFound);
        assert!(Pool::connect(&pool, SECOND).await.is_err());
        *told.borrow_mut() = Ok(vec![address]);
        assert_eq!(connect(&pool).await.1, address);
    });
}
