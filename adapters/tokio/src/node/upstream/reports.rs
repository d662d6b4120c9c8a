//! Reports of upstreams to the driver.

use seqlane::{UpstreamEvent, UpstreamId};
use tokio::sync::mpsc;

use crate::node::messages::Input;

/// Reports of an upstream's task to the driver.
#[derive(Clone, Debug)]
pub(in crate::node) struct Reports {
    upstream: UpstreamId,
    inputs: mpsc::Sender<Input>,
}

impl Reports {
    pub(in crate::node) const fn new(upstream: UpstreamId, inputs: mpsc::Sender<Input>) -> Self {
        Self { upstream, inputs }
    }

    pub(super) async fn send(&self, event: UpstreamEvent) {
        // A driver that has ended needs no reports.
        drop(self.inputs.send(Input::Upstream { upstream: self.upstream, event }).await);
    }
}
