//! From an address to a connection that has said who it is: socket, TLS, `HELLO`.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, Value, pipe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::rustls::pki_types::ServerName;

use super::failure;
use super::script::Script;
use super::settings::Address;
use super::shared::Shared;
use super::tracking;
use crate::store::Error;
use crate::store::near_cache::Tracking;

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
    tracking: Arc<Tracking>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tracking.end();
        // It would wait for answers that may never come.
        self.driver.abort();
    }
}

/// What is asked about one key.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) key: &'a str,
    pub(super) verb: Verb<'a>,
    pub(super) arguments: &'a [&'a [u8]],
    /// Whether the server has been named by the key's owner, who is just handing it over.
    pub(super) asking: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Verb<'a> {
    Command(&'a str),
    Script(&'a Script),
}

/// What a server said.
pub(super) struct Answer {
    pub(super) value: Value,
    /// Whether it will say when that has changed.
    pub(super) tracking: Arc<Tracking>,
}

/// Why there is no connection. For the log: it quotes nothing that a server said.
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
    #[error("no sentinel knows a master who says that it is one")]
    NoMaster,
}

/// As whom a server is greeted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The user of the settings, who asks about the database there.
    User,
    /// The same, to a sentinel, which has no databases.
    SentinelUser,
    /// Nobody: most sentinels ask for no password.
    Nobody,
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

    /// It is not used any more: what it is told of from now on, nobody knows.
    pub(super) fn retire(&self) {
        self.0.tracking.end();
    }

    /// The connection, for as long as somebody else holds it.
    pub(super) fn downgrade(&self) -> impl Fn() -> Option<Self> + use<> {
        let wire = Arc::downgrade(&self.0);
        move || wire.upgrade().map(Self)
    }

    pub(super) fn tracking(&self) -> Arc<Tracking> {
        Arc::clone(&self.0.tracking)
    }

    /// The answer, whenever it comes.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Value, RedisError> {
        let Question { key, verb, arguments, asking } = question;
        match verb {
            Verb::Command(name) => {
                let mut command = Cmd::with_capacity(2 + arguments.len(), name.len() + key.len());
                command.arg(name).arg(key).arg(arguments);
                self.send(command, asking).await
            }
            Verb::Script(script) => match self.send(script.by_hash(key, arguments), asking).await {
                Err(error) if failure::is_unknown_script(&error) => {
                    self.send(script.by_text(key, arguments), asking).await
                }
                answer => answer,
            },
        }
    }

    /// The answer to a command that is about no key.
    pub(super) async fn tell(&self, command: Cmd) -> Result<Value, RedisError> {
        self.send(command, false).await
    }

    async fn send(&self, command: Cmd, asking: bool) -> Result<Value, RedisError> {
        let redis = &mut self.0.redis.clone();
        if !asking {
            // Not by way of the library's conversions, which look for errors in every part of an answer.
            return match redis.send_packed_command(&command).await? {
                Value::ServerError(error) => Err(error.into()),
                answer => Ok(answer),
            };
        }
        // Both in one message: the first holds for the very next command on the connection.
        let (answer,) = pipe().cmd("ASKING").ignore().add_command(command).query_async(redis).await?;
        Ok(answer)
    }
}

/// A new connection to `address`, whenever it is made.
pub(super) async fn connect(address: &Address, who: Who, shared: &Shared) -> Result<Connection, ConnectError> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    // Commands are small, and each is waited for.
    socket.set_nodelay(true)?;
    match &shared.tls {
        None => greet(socket, who, shared).await,
        Some(tls) => {
            let name = ServerName::try_from(address.host.clone()).map_err(|_| ConnectError::Name)?;
            greet(tls.connect(name, socket).await?, who, shared).await
        }
    }
}

async fn greet(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    who: Who,
    shared: &Shared,
) -> Result<Connection, ConnectError> {
    let settings = &shared.settings;
    let mut greeting = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("session-gateway", env!("CARGO_PKG_VERSION"));
    if who == Who::User {
        greeting = greeting.set_db(i64::from(settings.database));
    }
    if let Some(password) = settings.password.as_ref().filter(|_| who != Who::Nobody) {
        greeting = greeting.set_password(&password.0);
        if let Some(user) = &settings.user {
            greeting = greeting.set_username(user);
        }
    }
    // Whoever waits for an answer does so with a timeout of its own.
    let mut config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let tracking = Arc::<Tracking>::default();
    let near = shared.near.as_ref().filter(|_| who == Who::User);
    if let Some(near) = near {
        config = config.set_push_sender(tracking::listener(near, &tracking, &settings.key_prefix));
    }
    let refused = |error: RedisError| ConnectError::Refused(failure::cause(&error));
    let (redis, driver) = MultiplexedConnection::new_with_config(&greeting, socket, config).await.map_err(refused)?;
    let driver = tokio::spawn(driver).abort_handle();
    let connection = Connection(Arc::new(Wire { redis, driver, made: Instant::now(), tracking }));
    if near.is_some() {
        tracking::begin(&connection, shared).await?;
    }
    Ok(connection)
}
