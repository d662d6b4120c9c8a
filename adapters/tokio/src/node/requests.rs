//! The queue of requests: from HTTP tasks to the driver, in the order of their ids.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use seqlane::{Endpoint, RequestId, Response};
use tokio::sync::{mpsc, oneshot};

use super::messages::Input;
use crate::http::body::Share;

/// Hands requests to the driver.
pub(super) struct Requests {
    inputs: mpsc::Sender<Input>,
    gone: mpsc::UnboundedSender<RequestId>,
    next_request: Mutex<u64>,
}

impl Requests {
    pub(super) const fn new(inputs: mpsc::Sender<Input>, gone: mpsc::UnboundedSender<RequestId>) -> Self {
        Self { inputs, gone, next_request: Mutex::new(0) }
    }

    /// Hands a request in and waits for its answer; none if the node has closed.
    ///
    /// Dropping the future reports to the driver that the caller has gone.
    pub(super) async fn ask(&self, endpoint: Endpoint, body: Bytes, share: Share) -> Option<Response> {
        let permit = self.inputs.reserve().await.ok()?;
        let (answer, answered) = oneshot::channel();
        let request = {
            // Numbering and queueing are one step, because the machine requires increasing ids.
            let mut next = self.next_request.lock().unwrap_or_else(PoisonError::into_inner);
            let request = RequestId::new(*next);
            *next = next.saturating_add(1);
            permit.send(Input::Request { request, endpoint, body, share, answer });
            request
        };
        Waiting { request, answered: Some(answered), gone: &self.gone }.answer().await
    }
}

/// A caller waiting for the answer to its request.
struct Waiting<'a> {
    request: RequestId,
    /// None once it was answered.
    answered: Option<oneshot::Receiver<Response>>,
    gone: &'a mpsc::UnboundedSender<RequestId>,
}

impl Waiting<'_> {
    async fn answer(mut self) -> Option<Response> {
        let response = self.answered.as_mut()?.await.ok();
        self.answered = None;
        response
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(answered) = self.answered.take() {
            // In this order: a driver that reads the request after the report must see that the caller has gone.
            drop(answered);
            let _ = self.gone.send(self.request);
        }
    }
}
