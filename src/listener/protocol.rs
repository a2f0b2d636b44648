//! How hyper is set up: every option that is not its default, with the reason.

use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::Limits;

/// Read buffers start at 8 KiB and double up to this while a body fills them; it also bounds what waits to be written.
/// hyper's own 408 KiB buy no speed over it and cost memory for every slow reader.
const MAX_BUFFER: usize = 256 * 1024;

/// How many header lines hyper reads where nothing is said.
const HYPERS_MAX_HEADERS: usize = 100;

/// The two protocols, ready to serve connections.
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Local>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { http1: http1(limits), http2: http2(limits) }
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1
        // `Pulse` ends slow heads and idle connections. hyper's timer would be made anew for every request.
        .header_read_timeout(None)
        .max_header_size(limits.max_header_size)
        .max_buf_size(limits.max_header_size.max(MAX_BUFFER))
        // A client that closed its side is taken to be gone: its request is cancelled, and so is the upstream's work.
        // Nothing tells it from one that closed its side alone, before something is written to it.
        .half_close(limits.half_close);
    // Naming it moves the parser's array from the stack to the heap.
    if limits.max_headers != HYPERS_MAX_HEADERS {
        http1.max_headers(limits.max_headers);
    }
    // Left alone: `pipeline_flush` (experimental, and it copies every body into one buffer for a feature that no
    // browser uses).
    http1
}

fn http2(limits: &Limits) -> http2::Builder<Local> {
    let mut http2 = http2::Builder::new(Local);
    http2
        .timer(TokioTimer::new())
        // For WebSocket (RFC 8441 section 3).
        .enable_connect_protocol()
        .max_concurrent_streams(100)
        // Both bound what streams that are reset at once can cost (CVE-2023-44487, RUSTSEC-2024-0003).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128)
        // An upload may fill these before the upstream takes a byte: 256 KiB carry 40 Mbit/s at 50 ms.
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX))
        // They find what no count of requests can: an unfinished header block, a client that reads nothing.
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    http2
}

/// Runs an HTTP/2 stream on the thread of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local;

impl<F: Future + 'static> Executor<F> for Local
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
