//! The sockets of an address: bound here, or passed by whoever has started us.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;

use super::worker::Socket;
use crate::config::Config;
use crate::listener::{self, Passed};

/// One address' sockets, one for each worker.
pub(super) struct Bound {
    pub(super) address: Option<SocketAddr>,
    sockets: std::vec::IntoIter<Socket>,
}

impl Bound {
    pub(super) fn new(
        name: &str,
        address: Option<SocketAddr>,
        passed: &mut Passed,
        count: usize,
    ) -> anyhow::Result<Self> {
        let Some(address) = address else { return Ok(Self { address: None, sockets: Vec::new().into_iter() }) };
        let of_passed = passed.take(name, address);
        let is_passed = !of_passed.is_empty();
        anyhow::ensure!(
            of_passed.len() <= count,
            "more sockets were passed for {name} than there are to listen on them: {count}"
        );
        let listeners = if is_passed {
            // One for each worker, or some for several: whoever is free takes the next connection.
            let shared = of_passed.iter().cycle().take(count).map(TcpListener::try_clone);
            shared.collect::<Result<_, _>>().context("cannot share a socket that was passed")?
        } else {
            listener::bind(address, count)?
        };
        let address = listeners.first().map(TcpListener::local_addr).transpose()?;
        let sockets: Vec<_> = listeners.into_iter().map(|listener| Socket { listener, is_passed }).collect();
        Ok(Self { address, sockets: sockets.into_iter() })
    }

    pub(super) fn next(&mut self) -> Option<Socket> {
        self.sockets.next()
    }
}

/// Fails where the API may not be at its address. A configuration has seen to that for the address in it, and a socket
/// that was passed may be on another.
pub(super) fn ensure_guarded(admin: Option<SocketAddr>, config: &Config) -> anyhow::Result<()> {
    let Some((address, settings)) = admin.zip(config.admin.as_ref()) else { return Ok(()) };
    anyhow::ensure!(
        settings.may_be_at(address),
        "the admin address is on a socket that was passed, {address} can be reached from elsewhere, and there is no \
         admin.token_file"
    );
    Ok(())
}
