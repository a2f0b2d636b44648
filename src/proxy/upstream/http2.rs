//! HTTP/2 to a server: a few connections of one worker, each carrying many exchanges at once.

mod exchange;
mod head;
mod link;
mod links;

use std::io;
use std::time::Duration;

use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode};

use super::stream::Stream;
pub(super) use exchange::Exchange;
pub(super) use link::{Link, Slot};
pub(super) use links::Links;

/// How many exchanges a connection carries at once, where the server allows as many.
const MOST_STREAMS: u8 = 100;
/// How much of an answer may come before its client takes it: 256 KiB carry 400 Mbit/s at 5 ms.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a whole connection: as much as all streams may have, so that none ever waits for the reader of another.
const CONNECTION_WINDOW: u32 = MOST_STREAMS as u32 * STREAM_WINDOW;
/// How many streams that were broken off are remembered, so that what the server still sends on them is no error, and
/// for how long.
const MOST_RESET: usize = 4096;
const RESET_REMEMBERED: Duration = Duration::from_secs(30);
/// What small frames that nobody has taken yet may cost, as h2 counts it: less than this each. It is as much as all
/// streams can have of them: frames of one byte.
const FRAME_BUDGET: usize = CONNECTION_WINDOW as usize * 256;
/// How much of a request may wait to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// The most bytes of an answer's head, or of its trailers, as HTTP/2 counts them (RFC 9113 section 6.5.2).
const LONGEST_HEAD: u32 = 256 * 1024;

/// What the system said, where it did; otherwise what HTTP/2 did.
fn io_error(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    } else {
        io::Error::other(error)
    }
}

/// One question, on a connection of its own: the status of its answer.
pub(super) async fn get(stream: Stream, uri: &str, patience: Duration) -> io::Result<StatusCode> {
    let request = Request::get(uri).header(USER_AGENT, "session-gateway").header(ACCEPT, "*/*").body(());
    let request = request.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let link = Link::open(stream, patience).await?;
    let slot = Link::slot(&link).ok_or(io::ErrorKind::ConnectionAborted)?;
    let (response, _) = slot.send(request, true).map_err(io_error)?;
    Ok(response.await.map_err(io_error)?.status())
}
