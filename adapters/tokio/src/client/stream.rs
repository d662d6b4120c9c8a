//! TCP flows of the program.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes};
use seqlane::{EndReason, FlowId, LocalEvent};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::PollSender;

use super::flow::Flow;
use super::messages::{FlowAction, Input};

/// One TCP flow to a target, opened by [`Client::connect`](super::Client::connect).
///
/// `shutdown` half-closes it. A flow that was reset reads as [`ConnectionReset`](io::ErrorKind::ConnectionReset),
/// never as an end. Dropping it resets it.
pub struct FlowStream {
    flow: Flow,
    inputs: PollSender<Input>,
    delivered: VecDeque<Bytes>,
    credit: usize,
    uplink: Uplink,
    end: Option<EndReason>,
    finished: bool,
    wakers: Arc<Wakers>,
}

/// ```text
///   Open ── shutdown ──▶ Finished
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uplink {
    Open,
    Finished,
}

/// Bytes taken from one write; the rest waits for the machine to catch up.
const LARGEST_WRITE: usize = 256 * 1024;

impl FlowStream {
    /// `flow` is open, and was given `credit` so far.
    pub(super) fn new(flow: Flow, credit: usize) -> Self {
        let inputs = PollSender::new(flow.handle.inputs().clone());
        Self {
            flow,
            inputs,
            delivered: VecDeque::new(),
            credit,
            uplink: Uplink::Open,
            end: None,
            finished: false,
            wakers: Arc::default(),
        }
    }

    /// Takes the actions that have come. Reader and writer are both woken when more come, because the channel has
    /// one receiver and the halves of a split stream may be two tasks.
    fn receive(&mut self) {
        let waker = Waker::from(self.wakers.clone());
        let mut context = Context::from_waker(&waker);
        while self.end.is_none() {
            let Poll::Ready(action) = self.flow.actions.poll_recv(&mut context) else { return };
            match action {
                Some((_, FlowAction::Deliver(bytes))) => self.delivered.push_back(bytes),
                Some((_, FlowAction::Credit(bytes))) => self.credit = self.credit.saturating_add(bytes),
                Some((_, FlowAction::Fin)) => self.finished = true,
                Some((_, FlowAction::Opened)) => {}
                Some((_, FlowAction::Ended(why))) => self.on_ended(why),
                None => self.on_ended(EndReason::ClientClosed),
            }
        }
    }

    fn on_ended(&mut self, why: EndReason) {
        self.flow.handle.ended();
        self.end = Some(why);
        self.wakers.wake_by_ref();
    }

    const fn id(&self) -> FlowId {
        self.flow.handle.id()
    }

    /// Hands an event to the machine, once it has room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        event: impl FnOnce(&mut Self) -> LocalEvent,
    ) -> Poll<io::Result<()>> {
        if ready!(self.inputs.poll_reserve(context)).is_err() {
            return Poll::Ready(Err(reset(EndReason::ClientClosed)));
        }
        let input = Input::Local { flow: self.id(), event: event(self) };
        Poll::Ready(self.inputs.send_item(input).map_err(|_| reset(EndReason::ClientClosed)))
    }
}

fn reset(why: EndReason) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, why.to_string())
}

impl AsyncRead for FlowStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Wakers::set(&self.wakers.reader, context);
        self.receive();
        let mut taken = 0;
        while let Some(chunk) = self.delivered.front_mut() {
            let part = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..part]);
            chunk.advance(part);
            taken += part;
            if chunk.has_remaining() {
                break;
            }
            self.delivered.pop_front();
        }
        if taken > 0 {
            self.flow.handle.written(taken);
            return Poll::Ready(Ok(()));
        }
        match self.end {
            Some(why) if !why.is_orderly() && !self.finished => Poll::Ready(Err(reset(why))),
            Some(_) => Poll::Ready(Ok(())),
            None if self.finished || buffer.remaining() == 0 => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for FlowStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Wakers::set(&self.wakers.writer, context);
        self.receive();
        if let Some(why) = self.end {
            return Poll::Ready(Err(reset(why)));
        }
        if self.uplink == Uplink::Finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let part = bytes.len().min(self.credit).min(LARGEST_WRITE);
        if part == 0 {
            return if bytes.is_empty() { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        ready!(self.poll_send(context, |stream| {
            stream.credit -= part;
            LocalEvent::Data(Bytes::copy_from_slice(&bytes[..part]))
        }))?;
        Poll::Ready(Ok(part))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.uplink == Uplink::Finished || self.end.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(context, |stream| {
            stream.uplink = Uplink::Finished;
            LocalEvent::Fin
        })
    }
}

impl fmt::Debug for FlowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowStream")
            .field("flow", &self.id())
            .field("credit", &self.credit)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// The tasks that wait for the flow.
#[derive(Default)]
struct Wakers {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Wakers {
    fn set(slot: &Mutex<Option<Waker>>, context: &Context<'_>) {
        let mut waker = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for slot in [&self.reader, &self.writer] {
            let waker = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
