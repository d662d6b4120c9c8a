//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::Failure;

/// The exit code of a process that a signal cut short, as shells count it: 128 and SIGINT.
const CUT_SHORT: i32 = 130;

/// A stop that takes longer than this tells why.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first request to stop.
pub(crate) struct Stop(oneshot::Receiver<()>);

impl Stop {
    /// Starts to listen for signals. From now on they do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("cannot listen for signals: {error}"));
        let mut signals = Signals::listen().map_err(failed)?;
        let (first, stop) = oneshot::channel();
        tokio::spawn(async move {
            signals.next().await;
            // Whoever no longer waits has ended anyway.
            let _ = first.send(());
            if tokio::time::timeout(PATIENCE, signals.next()).await.is_err() {
                tracing::warn!("still stopping: what is under way may finish; a second signal ends at once");
                signals.next().await;
            }
            std::process::exit(CUT_SHORT);
        });
        Ok(Self(stop))
    }

    /// Waits for the first signal.
    pub(crate) async fn requested(self) {
        // The sender lives in its task until it has sent.
        let _ = self.0.await;
        tracing::info!("stopping; a second signal ends at once");
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that ask a program to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
