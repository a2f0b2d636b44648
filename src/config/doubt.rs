//! What is valid, and perhaps not what is meant: told by `check` and at start, and no reason not to start.

use crate::proxy::cookies::jar::Mode;

use super::Config;

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A jar keeps sessions of an application's own, and nobody has said which of its requests are logins.
    #[error(
        "upstream.{upstream}.jar: without renew_on, whoever has planted a ticket on a visitor shares the login of an \
         application that gives visitors a session before they log in; expected its logins, such as [\"POST /login\"]"
    )]
    NoLogins {
        /// Whose jar.
        upstream: String,
    },
    /// A handshake is given longer than the whole of what it is a part of.
    #[error(
        "listen.handshake_timeout: without effect, for it is longer than header_timeout, by which the first request of a \
         new connection has to come with its handshake; expected as much at most"
    )]
    LongHandshake,
}

impl Config {
    /// Every doubt about it.
    pub fn doubts(&self) -> impl Iterator<Item = Doubt> {
        let without_logins = self.proxy.upstreams.iter().filter(|upstream| {
            upstream.jar.as_ref().is_some_and(|jar| jar.mode == Mode::Enforce && jar.renew_on.is_empty())
        });
        let is_long = self.listen.handshake_timeout > self.listen.header_timeout;
        let long_handshake = is_long.then_some(Doubt::LongHandshake);
        let without_logins = without_logins.map(|upstream| Doubt::NoLogins { upstream: upstream.name.clone() });
        long_handshake.into_iter().chain(without_logins)
    }
}
