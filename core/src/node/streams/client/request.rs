//! Request packets of a known client (protocol.md 3.2 rules 2 and 7).

use core::time::Duration;

use crate::id::RequestId;
use crate::node::action::ClientFault;
use crate::node::context::Context;
use crate::node::requests::{ExchangeRef, Part};
use crate::node::streams::client::ClientConnection;
use crate::node::streams::exchanges::Progress;
use crate::node::streams::hold::{HeldExchange, ResponsePayload};
use crate::wire::frame::Frames;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{RequestHeader, ResponseRoom};

/// One copy of a request packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::streams) struct RequestCopy<'h> {
    /// Where it is answered.
    pub(in crate::node::streams) part: Part,
    pub(in crate::node::streams) header: &'h RequestHeader,
    /// Bytes of the packet.
    pub(in crate::node::streams) len: usize,
    /// Whether other ops wait for their answers with it.
    pub(in crate::node::streams) shared: bool,
}

impl ClientConnection {
    /// A packet came. Only an exchange that comes for the first time shows that the client is alive.
    pub(in crate::node::streams) fn on_request(
        &mut self,
        request: RequestCopy<'_>,
        frames: Frames,
        cx: &mut Context,
    ) -> Result<(), ClientFault> {
        let header = request.header;
        self.confirm_below(header.done, cx.now());
        let arrival = self.exchanges.arrive(header.exchange)?;
        if arrival == Some(Progress::Missing) {
            self.last_seen = cx.now();
        }
        self.take_terms(header);
        self.answer_done(cx);
        for frame in frames {
            self.on_frame(request, frame, arrival == Some(Progress::Missing), cx)?;
        }
        self.admit_copy(request, arrival, cx);
        self.queue(cx);
        Ok(())
    }

    /// Answers held requests below `done` by a header: the client will not ask for more.
    fn answer_done(&mut self, cx: &mut Context) {
        while let Some(first) = self.held.first_entry()
            && *first.key() < self.exchanges.done()
        {
            let (exchange, held) = first.remove_entry();
            self.answer_bare(exchange, held, cx);
        }
    }

    /// Answers this copy of a request, or holds it.
    fn admit_copy(&mut self, request: RequestCopy<'_>, arrival: Option<Progress>, cx: &mut Context) {
        let now = cx.now();
        let RequestCopy { part, header, shared, .. } = request;
        let exchange = header.exchange;
        let bare = header.max_response == ResponseRoom::HeaderOnly
            || self.exchanges.is_named(exchange)
            || exchange < self.exchanges.done();
        let hold = if shared { Duration::ZERO } else { header.hold.min(self.grants().max_hold) };
        let until = now.saturating_add(hold);
        let held = HeldExchange { at: part, arrived: now, until, max_response: header.max_response };
        match arrival {
            Some(Progress::Held) if !bare => {
                // Its frames are fixed now, and both copies are answered with them.
                self.answer_held(exchange, ResponsePayload::Anything, cx);
                self.answer_again(exchange, held, cx);
            }
            Some(Progress::Answered(_)) if !bare => self.answer_again(exchange, held, cx),
            Some(Progress::Missing) if !bare => {
                self.exchanges.hold(exchange);
                self.held.insert(exchange, held);
                cx.hold_exchange(part, ExchangeRef { connection: self.id, exchange });
            }
            Some(Progress::Missing) => {
                self.exchanges.answered(exchange, 0, 0);
                self.answer_bare(exchange, held, cx);
            }
            None | Some(Progress::Held | Progress::Answered(_)) => {
                self.answer_bare(exchange, held, cx);
            }
        }
    }

    /// The caller of a held request has gone. The client learns that the exchange was answered, without frames.
    pub(in crate::node::streams) fn on_request_gone(
        &mut self,
        request: RequestId,
        exchange: ExchangeNumber,
        cx: &mut Context,
    ) {
        if self.held.get(&exchange).is_some_and(|held| held.at.request == request) {
            self.held.remove(&exchange);
            self.exchanges.answered(exchange, 0, 0);
            self.queue(cx);
        }
    }
}
