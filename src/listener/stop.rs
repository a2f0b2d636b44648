//! The signal that ends every listener.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks all listeners to stop; every clone is the same signal, on any thread.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// A signal not yet given.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Gives the signal, for good.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Ends when the signal is given, or was given before.
    pub async fn asked(&self) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
