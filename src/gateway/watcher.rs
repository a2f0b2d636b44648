//! The thread that looks whether the certificates' files have changed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;

use crate::tls::{Looked, Reloadable};

/// How often it looks. Asked of the files themselves, and not of the system: links that are switched above them, as
/// certbot's and those of Kubernetes' volumes are, and network file systems are then nothing special.
const EVERY: Duration = Duration::from_secs(1);

/// How long it may take to end. A file system that hangs would keep it for as long.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running watcher.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: Sender<()>,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

impl Watcher {
    /// Starts it.
    pub(super) fn start(tls: Arc<Reloadable>) -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let (running, ended) = channel();
        let thread = std::thread::Builder::new().name("certificates".to_owned()).spawn(move || {
            let _running: Sender<()> = running;
            let mut looked = Looked::default();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                match tls.look(&mut looked) {
                    Ok(false) => {}
                    Ok(true) => tracing::info!("the certificates have changed, and are used from now on"),
                    Err(error) => {
                        let error = anyhow::Error::from(error);
                        tracing::warn!(
                            "the certificates have changed and cannot be used; those from before stay: {error:#}"
                        );
                    }
                }
            }
        });
        thread.context("cannot watch the certificates")?;
        Ok(Self { stop, ended })
    }

    /// Returns once it looks no more, or hangs.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the certificates' files are still being read");
        }
    }
}
