//! From an address to a connection that has said who it is: socket, TLS, `HELLO`.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::failure;
use super::script::Script;
use super::settings::{Address, Settings};
use crate::store::Error;

/// How many commands may wait to be written.
const QUEUE: usize = 256;

/// A connection that many requests share: their commands go out in one stream, and the answers come back in order. A
/// request that gives up leaves its answer to nobody, and takes nothing from the others.
#[derive(Clone)]
pub(super) struct Connection(Arc<Wire>);

struct Wire {
    redis: MultiplexedConnection,
    /// The task that reads and writes; it ends when the connection does.
    driver: AbortHandle,
    made: Instant,
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It would wait for answers that may never come.
        self.driver.abort();
    }
}

/// What is asked of a server.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    /// One command.
    Command(&'a Cmd),
    /// A script over one key.
    Script { script: &'a Script, key: &'a str, arguments: &'a [&'a [u8]] },
}

/// Why there is no connection. For the log: it quotes nothing that the server said.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("nothing came within {}ms", .0.as_millis())]
    Timeout(Duration),
    #[error("its name cannot stand in a certificate")]
    Name,
    #[error("it did not let us in ({0})")]
    Refused(Error),
}

impl Connection {
    /// Whether the server, or the network, has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.0.driver.is_finished()
    }

    pub(super) fn age(&self) -> Duration {
        self.0.made.elapsed()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The answer, whenever it comes.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Value, RedisError> {
        match question {
            Question::Command(command) => self.send(command).await,
            Question::Script { script, key, arguments } => match self.send(&script.by_hash(key, arguments)).await {
                Err(error) if failure::is_unknown_script(&error) => self.send(&script.by_text(key, arguments)).await,
                answer => answer,
            },
        }
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.0.redis.clone()).await
    }
}

/// A new connection to `address`, within the time that the settings allow for it.
pub(super) async fn connect(
    address: &Address,
    settings: &Settings,
    tls: Option<&TlsConnector>,
) -> Result<Connection, ConnectError> {
    let made = timeout(settings.connect_timeout, async {
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
        // Commands are small, and each is waited for.
        socket.set_nodelay(true)?;
        match tls {
            None => greet(socket, settings).await,
            Some(tls) => {
                let name = ServerName::try_from(address.host.clone()).map_err(|_| ConnectError::Name)?;
                greet(tls.connect(name, socket).await?, settings).await
            }
        }
    });
    made.await.unwrap_or(Err(ConnectError::Timeout(settings.connect_timeout)))
}

async fn greet(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    settings: &Settings,
) -> Result<Connection, ConnectError> {
    let mut who = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("session-gateway", env!("CARGO_PKG_VERSION"))
        .set_db(i64::from(settings.database));
    if let Some(user) = &settings.user {
        who = who.set_username(user);
    }
    if let Some(password) = &settings.password {
        who = who.set_password(&password.0);
    }
    // Whoever waits for an answer does so with a timeout of its own.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let (redis, driver) = MultiplexedConnection::new_with_config(&who, socket, config)
        .await
        .map_err(|error| ConnectError::Refused(failure::cause(&error)))?;
    let driver = tokio::spawn(driver).abort_handle();
    Ok(Connection(Arc::new(Wire { redis, driver, made: Instant::now() })))
}
