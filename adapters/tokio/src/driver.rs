//! The loop that drives a machine, for client and node alike.
//!
//! ```text
//!  1 wait for the wake time, or for something to happen
//!  2 read the clock once
//!  3 hand in what happened
//!  4 poll until Idle, and perform each action
//!  5 set the one timer to the wake time
//!  6 again
//! ```
//! Nothing in here waits for a socket: sockets and calls have tasks of their own, which speak to the driver over
//! channels.

use std::future::Future;
use std::pin::pin;

use seqlane::{Instant, Wake};
use tokio::time::sleep_until;

use crate::clock::Clock;

/// A machine with everything that its actions touch.
pub(crate) trait Driver {
    /// What ends a wait.
    type Happened;

    /// Waits until something happens. Dropping the future loses nothing.
    fn wait(&mut self) -> impl Future<Output = Self::Happened> + Send;

    /// Hands in what happened; [`None`] stands for the wake time.
    fn handle(&mut self, now: Instant, happened: Option<Self::Happened>);

    /// Performs what the machine wants until it is idle. Returns its wake time.
    fn perform(&mut self) -> Option<Wake>;

    /// Whether there is nothing left to do.
    fn is_finished(&self) -> bool;
}

/// Drives a machine until its driver is finished.
pub(crate) async fn run<D: Driver>(driver: &mut D, clock: Clock) {
    let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
    let mut armed = None;
    let mut wake = driver.perform();
    while !driver.is_finished() {
        if armed != wake {
            armed = wake;
            if let Some(wake) = wake {
                timer.as_mut().reset(clock.to_tokio(wake.at));
            }
        }
        let happened = tokio::select! {
            biased;
            () = timer.as_mut(), if wake.is_some() => None,
            happened = driver.wait() => Some(happened),
        };
        driver.handle(clock.now(), happened);
        wake = driver.perform();
    }
}
