//! SIGINT and SIGTERM: the first starts an orderly stop, the second ends the process at once. SIGHUP asks for a reload.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::Failure;

/// The exit code of a process that was interrupted, as in shells: 128 plus SIGINT.
const INTERRUPTED: i32 = 130;

/// A stop that takes longer than this is reported.
const REPORT_AFTER: Duration = Duration::from_secs(1);

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
            // A receiver that has gone has ended already.
            let _ = first.send(());
            if tokio::time::timeout(REPORT_AFTER, signals.next()).await.is_err() {
                tracing::warn!(
                    "still stopping: flows and calls under way may finish; a second signal ends at once"
                );
                signals.next().await;
            }
            std::process::exit(INTERRUPTED);
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

/// The signals that ask a program to read its files again.
#[cfg(unix)]
pub(crate) struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    /// Starts to listen. From now on a hangup does not end the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Failure::Failed(format!("cannot listen for signals: {error}"));
        signal(SignalKind::hangup()).map(Self).map_err(failed)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// The signals that ask a program to read its files again: there are none.
#[cfg(not(unix))]
pub(crate) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
