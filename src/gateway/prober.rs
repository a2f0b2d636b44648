//! The thread that asks servers whether they are well, once for all workers.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::LocalRuntime;

use crate::listener::Stop;
use crate::proxy;
use crate::proxy::headers::Names;
use crate::proxy::upstream::{Shared, health};

/// A running prober.
#[derive(Debug)]
pub(super) struct Prober {
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Prober {
    /// Starts it, if there is any server to be asked. `shared` is by upstream, in the order of the settings.
    pub(super) fn start(settings: &proxy::Settings, shared: &Arc<[Arc<Shared>]>) -> anyhow::Result<Option<Self>> {
        if settings.upstreams.iter().all(|upstream| upstream.health.is_none()) {
            return Ok(None);
        }
        let runtime_of = |settings: proxy::Settings, shared: Arc<[Arc<Shared>]>, stop: Stop| {
            let runtime = LocalRuntime::new()?;
            runtime.block_on(async move {
                // The configuration has checked that the prefix makes header names.
                let names = Rc::new(Names::new(&settings.headers).expect("session header names are valid"));
                tokio::select! {
                    () = health::watch(&settings, &shared, &names) => {}
                    () = stop.asked() => {}
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
            Ok::<_, std::io::Error>(())
        };
        let stop = Stop::new();
        let (settings, shared, asked) = (settings.clone(), Arc::clone(shared), stop.clone());
        let thread = std::thread::Builder::new().name("health".to_owned()).spawn(move || {
            if let Err(error) = runtime_of(settings, shared, asked) {
                tracing::error!(%error, "no server is asked whether it is well");
            }
        });
        Ok(Some(Self { stop, thread: thread.context("cannot start the health checks")? }))
    }

    /// Returns once it asks no more.
    pub(super) fn stop(self) {
        self.stop.ask();
        let _ = self.thread.join();
    }
}
