//! Bandwidth that all calls share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One direction of the relay: bodies pass one after another.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// Bytes per second; none for no limit.
    rate: Option<u64>,
    free_at: Mutex<Option<Instant>>,
}

impl Bandwidth {
    pub(super) const fn new(rate: Option<u64>) -> Self {
        Self { rate, free_at: Mutex::new(None) }
    }

    /// Waits until this many bytes have passed.
    pub(super) async fn pass(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let time = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let passed = {
            let now = Instant::now();
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = free_at.unwrap_or(now).max(now) + time;
            *free_at = Some(passed);
            passed
        };
        sleep_until(passed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_share_the_rate() {
        let bandwidth = Bandwidth::new(Some(1000));
        let start = Instant::now();
        tokio::join!(bandwidth.pass(500), bandwidth.pass(500));
        assert_eq!(start.elapsed().as_millis(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_bodies_take_no_time() {
        let start = Instant::now();
        Bandwidth::new(None).pass(usize::MAX).await;
        assert!(start.elapsed().is_zero());
    }
}
