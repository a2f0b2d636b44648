//! One call to the admin address of the gateway that runs by a configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use session_gateway::admin::Token;
use tokio::net::TcpStream;

use super::plain;

/// How long a call may take as a whole. The gateway itself gives up on its store long before.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// More than all that is known of one session, or of one user's.
const LARGEST_ANSWER: usize = 64 << 20;

/// Where the gateway is asked, and what lets us.
pub(super) struct Desk<'a> {
    /// The configuration, by which mistakes are explained.
    file: &'a Path,
    address: SocketAddr,
    token: Option<Token>,
}

impl<'a> Desk<'a> {
    /// The one that `[admin]` of this configuration names.
    pub(super) fn of(file: &'a Path) -> anyhow::Result<Self> {
        let name = file.display();
        let admin = crate::cli::load(file)?.admin;
        let admin = admin.with_context(|| format!("{name} has no [admin], so its gateway has no address for this"))?;
        let port = admin.listen.port();
        ensure!(port != 0, "admin.listen in {name} has port 0: which one the gateway took, its log alone says");
        Ok(Self { file, address: reachable(admin.listen), token: admin.token })
    }

    /// What the gateway answers to a call that succeeds; what it says is wrong, else.
    pub(super) fn ask(&self, method: &Method, target: &str, patience: Duration) -> anyhow::Result<String> {
        let Self { address, .. } = self;
        let request = self.request(method, target)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answered = runtime.block_on(async { tokio::time::timeout(patience, exchange(*address, request)).await });
        let (status, body) =
            answered.map_err(|_| anyhow!("the gateway at {address} did not answer in {patience:?}"))??;
        match status {
            StatusCode::OK => String::from_utf8(body.into())
                .with_context(|| format!("what listens at {address} does not answer in text")),
            StatusCode::UNAUTHORIZED => Err(self.unauthorized()),
            _ => match serde_json::from_slice::<Problem>(&body) {
                Ok(Problem { error }) => bail!("the gateway at {address} says: {}", plain(&error)),
                Err(_) => bail!("what listens at {address} answers {status}, which no admin address of a gateway does"),
            },
        }
    }

    fn request(&self, method: &Method, target: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::builder().method(method).uri(target).header(HOST, self.address.to_string());
        if let Some(Token(token)) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        Ok(request.body(Empty::new())?)
    }

    fn unauthorized(&self) -> anyhow::Error {
        let (address, name) = (self.address, self.file.display());
        match self.token {
            Some(_) => anyhow!("the gateway at {address} does not accept the token in admin.token_file of {name}"),
            None => anyhow!("the gateway at {address} wants a token, and {name} has no admin.token_file"),
        }
    }
}

/// An answer that is none.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

/// An address that stands for all of this machine's is spoken to on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn exchange(address: SocketAddr, request: Request<Empty<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("no gateway listens at {address}"))?;
    let broken = || format!("the exchange with what listens at {address} broke off");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(broken)?;
    // It ends with the runtime at the latest, and what fails on it is an error of the exchange too.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.with_context(broken)?.into_parts();
    let body =
        Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| anyhow!(error)).with_context(broken)?;
    Ok((head.status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn desk(address: SocketAddr) -> Desk<'static> {
        Desk { file: Path::new("gateway.toml"), address, token: None }
    }

    #[test]
    fn an_address_that_stands_for_all_is_reached_on_loopback() {
        for (listen, spoken_to) in [
            ("0.0.0.0:9900", "127.0.0.1:9900"),
            ("[::]:9900", "[::1]:9900"),
            ("[::ffff:0.0.0.0]:9900", "127.0.0.1:9900"),
            ("127.0.0.2:9900", "127.0.0.2:9900"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[2001:db8::1]:9900", "[2001:db8::1]:9900"),
        ] {
            let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(reachable(address(listen)), address(spoken_to));
        }
    }

    #[test]
    fn whoever_says_too_little_is_not_waited_for() {
        for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let desk = desk(listener.local_addr().expect("a bound address"));
            let holding = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(said.as_bytes()).expect("a peer that reads");
                // Until it is given up, or has been waited for by far too long.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let asked = desk.ask(&Method::GET, "/sessions?user=alice", Duration::from_millis(100));
            let error = format!("{:#}", asked.expect_err("no answer has come"));
            assert_eq!(error, format!("the gateway at {} did not answer in 100ms", desk.address));
            drop(holding.join());
        }
    }
}
