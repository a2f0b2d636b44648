//! Health checks: each server is asked now and then, by one for all workers, whether it is well.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::answer::{self, Head, Malformed};
use super::{Protocol, Server, Shared, Stream, http2};
use crate::proxy::headers::{Asked, Names};

/// How the servers of an upstream are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is asked for; a status of 2xx or 3xx says that the server is well.
    pub path: String,
    /// How long it is from one question to the next.
    pub interval: Duration,
    /// How long an answer may take, with the connection that is made for it.
    pub timeout: Duration,
    /// How many good answers in turn bring a server back.
    pub rise: usize,
    /// How many bad ones take it out.
    pub fall: usize,
}

/// Why a health check was not passed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection without an answer")]
    Closed,
    #[error("no valid response: {0}")]
    Malformed(#[from] Malformed),
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// Asks every server of every upstream that wants it, for ever. `shared` is by upstream, in the order of the settings.
pub async fn watch(settings: &crate::proxy::Settings, shared: &[Arc<Shared>], names: &Rc<Names>) {
    let mut watches = JoinSet::new();
    for (upstream, shared) in settings.upstreams.iter().zip(shared) {
        let Some(health) = &upstream.health else { continue };
        for (index, server) in upstream.servers.iter().enumerate() {
            let (health, server, shared) = (health.clone(), server.clone(), Arc::clone(shared));
            let names = Rc::clone(names);
            watches.spawn_local(async move { watch_one(&health, &server, &shared, index, &names).await });
        }
    }
    while watches.join_next().await.is_some() {}
}

async fn watch_one(health: &Settings, server: &Server, shared: &Shared, index: usize, names: &Names) {
    let standing = &shared.standings[index];
    let (mut good, mut bad) = (0, 0);
    let mut turn = interval(health.interval);
    // A server that is slow is not asked the more for it.
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let asked = timeout(health.timeout, ask(health, server, shared, names)).await;
        match asked.unwrap_or(Err(Failure::Timeout(health.timeout))) {
            Ok(()) => {
                (good, bad) = (good + 1, 0);
                if good >= health.rise && !standing.is_healthy() {
                    standing.recovered();
                    shared.queue.freed.notify_waiters();
                }
            }
            Err(failure) => {
                (good, bad) = (0, bad + 1);
                if bad >= health.fall && standing.is_healthy() {
                    standing.fell_ill(&failure);
                }
            }
        }
    }
}

/// One question, on a connection of its own: whether new ones can be made is a part of it.
async fn ask(health: &Settings, server: &Server, shared: &Shared, names: &Names) -> Result<(), Failure> {
    let mut stream = Stream::open(server, shared.tls.as_ref()).await?;
    if server.protocol() == Protocol::Http2 {
        let uri = format!("{}://{}{}", server.scheme(), server.authority(), health.path);
        return judge(http2::get(stream, &uri, health.timeout).await?);
    }
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: session-gateway\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        health.path,
        server.authority(),
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (mut input, mut places, mut head) = (BytesMut::new(), Vec::new(), Head::default());
    loop {
        if answer::read(&mut input, Asked::Usually, names, &mut places, &mut head)? {
            return judge(head.status);
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Failure::Closed);
        }
    }
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    let good = status.is_success() || status.is_redirection();
    if good { Ok(()) } else { Err(Failure::Status(status)) }
}
