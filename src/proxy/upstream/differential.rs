//! Our reading of answers beside hyper's client: the same bytes, cut into the same pieces, must be the same answer to
//! both.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::answer;
use super::incoming::Framing;
use crate::proxy::headers::{Asked, Names, Settings};

/// An answer as a client sees it.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    /// Those of the message, sorted.
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

/// What hyper leaves in the head and we take out: it belongs to the connection. `X` is what `Connection` names here.
const OF_THE_CONNECTION: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "x"];

fn sorted(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let folds = |name: &str| name.replace(|byte: char| !byte.is_ascii_alphanumeric(), "-");
    let is_alias =
        |name: &str| ["content-length", "transfer-encoding"].contains(&&folds(name)[..]) && name != "content-length";
    let lines =
        headers.iter().filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()) && !is_alias(name.as_str()));
    // One length is the same however often, and with however many zeros, it is written.
    let plain = |value: &[u8]| value.iter().copied().skip_while(|byte| *byte == b'0').collect();
    let line = |(name, value): (&HeaderName, &HeaderValue)| match name.as_str() {
        "content-length" => (name.to_string(), plain(value.as_bytes())),
        _ => (name.to_string(), value.as_bytes().to_vec()),
    };
    let mut lines: Vec<_> = lines.map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// None where it is no whole and well-formed answer.
fn ours(pieces: &[Vec<u8>], to_head: bool) -> Option<Seen> {
    let names = Names::new(&Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).unwrap();
    let (mut input, mut places, mut head) = (BytesMut::new(), Vec::new(), answer::Head::default());
    let (mut is_there, mut body, mut trailers) = (false, Vec::new(), HeaderMap::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        if !is_there {
            let asked = if to_head { Asked::ToHead } else { Asked::Usually };
            is_there = answer::read(&mut input, asked, &names, &mut places, &mut head).ok()?;
        }
        if !is_there {
            continue;
        }
        while let Some(frame) = head.framing.next(&mut input).ok()? {
            match frame.into_data() {
                Ok(data) => body.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
    }
    if !is_there || !matches!(head.framing, Framing::Ended | Framing::UntilClosed) {
        return None;
    }
    head.headers.extend(head.session);
    Some(Seen { status: head.status.as_u16(), headers: sorted(&head.headers), body, trailers: sorted(&trailers) })
}

fn hypers(pieces: &[Vec<u8>], to_head: bool) -> Option<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        let serving = tokio::spawn(connection);
        let method = if to_head { "HEAD" } else { "GET" };
        let request = Request::builder().method(method).uri("/").header("host", "h").body(Empty::<Bytes>::new());
        let answering = tokio::spawn(sender.send_request(request.unwrap()));
        // Until the request is written: what comes before it is no answer to it.
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut byte).await.unwrap();
        for piece in pieces {
            let _ = far.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        let _ = far.shutdown().await;
        let (mut head, body) = answering.await.unwrap().ok()?.into_parts();
        // The first is kept; hyper leaves that to us, too.
        if let Some(date) = head.headers.remove(DATE) {
            head.headers.insert(DATE, date);
        }
        if head.headers.contains_key(TRANSFER_ENCODING) || head.status == StatusCode::NO_CONTENT {
            // Void, and an intermediary removes it (RFC 9112 section 6.3, RFC 9110 section 8.6); hyper leaves that to
            // us.
            head.headers.remove(CONTENT_LENGTH);
        }
        let collected = body.collect().await.ok()?;
        let trailers = collected.trailers().map(sorted).unwrap_or_default();
        drop(serving);
        let body = collected.to_bytes().to_vec();
        Some(Seen { status: head.status.as_u16(), headers: sorted(&head.headers), body, trailers })
    })
}

/// Whether we are free to refuse what hyper takes: each of these is refused on purpose.
fn is_refused_on_purpose(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let value = |name: &str| text.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>().join("|");
    let (length, coding) = (value("content-length:"), value("transfer-encoding:"));
    text.contains("content-length:") && (length.contains(['+', '|']) || length.trim().parse::<u64>().is_err())
        || (!coding.is_empty() && coding.trim() != "chunked")
        || (!coding.is_empty() && text.contains("http/1.0"))
        || text.contains(" 101")
        || bytes.windows(2).any(|pair| pair[0] != b'\r' && pair[1] == b'\n')
}

fn status_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("HTTP/1.1 200 OK\r\n".to_owned()),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n".to_owned()),
        1 => "HTTP/1\\.[01] (200|201|204|206|304|404|500|999|099)( OK| |)\r\n",
    ]
}

fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(Content-Length|content-length): ?(0|3|5|11|05)\r\n",
        4 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
        1 => "Transfer-Encoding: (gzip|gzip, chunked|identity|CHUNKED)\r\n",
        1 => "Content-Length: (5, 5|\\+5|5a|-1| 5 |99999999999999999999|)\r\n",
        2 => "Connection: (close|keep-alive|Keep-Alive, X)\r\n",
        2 => "(Set-Cookie|X-Session-User|X-A|Vary|Date): [ -~]{0,12}\r\n",
        1 => "[ -~]{0,10}:?[ -~\t]{0,10}\r?\n",
    ]
}

fn body() -> impl Strategy<Value = String> {
    let chunk = prop_oneof![
        6 => "5(;a=b|; x|)\r\nhello\r\n",
        1 => "0{0,3}b\r\nhello world\r\n",
        1 => "[0-9a-fg]{1,2}[ ;\t]?\r\n[a-z]{0,9}\r\n",
    ];
    let last = prop_oneof![4 => Just("0\r\n\r\n"), 1 => Just("0\r\nX-T: 1\r\n\r\n"), 1 => Just("0\r\n"), 1 => Just("")];
    prop_oneof![
        2 => "(hello|hello world|hel|)",
        3 => (proptest::collection::vec(chunk, 0..4), last).prop_map(|(chunks, last)| chunks.concat() + last),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_we_read_is_what_hyper_reads(
        status in status_line(),
        headers in proptest::collection::vec(header(), 0..5),
        body in body(),
        spoilt in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        to_head in proptest::bool::weighted(0.1),
    ) {
        let mut bytes = format!("{status}{}\r\n{body}", headers.concat()).into_bytes();
        if let Some((at, byte)) = spoilt {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<Vec<u8>> = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect();

        let (ours, hypers) = (ours(&pieces, to_head), hypers(&pieces, to_head));
        if ours.is_some() || !is_refused_on_purpose(&bytes) {
            prop_assert_eq!(ours, hypers, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
