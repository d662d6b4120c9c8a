//! Notices of the client, to wait for.

use seqlane::ClientNotice;
use tokio::sync::broadcast;

use crate::deadline::soon;

/// Notices from some moment on. None gets lost: a test that falls more than a thousand behind fails.
#[derive(Debug)]
pub struct Notices(broadcast::Receiver<ClientNotice>);

impl Notices {
    /// What this receiver brings.
    pub const fn new(receiver: broadcast::Receiver<ClientNotice>) -> Self {
        Self(receiver)
    }

    /// The next notice that fits.
    ///
    /// # Panics
    /// When there is none before long.
    pub async fn wait_for(&mut self, fits: impl Fn(&ClientNotice) -> bool) -> ClientNotice {
        soon(async {
            loop {
                let notice = self.0.recv().await.expect("a running client, and not too many notices");
                if fits(&notice) {
                    return notice;
                }
            }
        })
        .await
    }

    /// Every notice up to now.
    pub fn so_far(&mut self) -> Vec<ClientNotice> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
