//! Applications at the client, with what they have sent and received.

use seqlane::{
    ClientAction, ClientEvent, EndReason, ExchangeId, FlowId, FlowKind, LocalEvent, RelayId, Target,
};

use super::content::{Content, Received, Sent};
use super::{Pair, pick};

/// The application's end of a flow.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) kind: FlowKind,
    credit: usize,
    pub(super) sent: Sent,
    pub(super) received: Received,
    /// Datagrams that its upstreams sent. A flow whose upstream has died may get another.
    pub(super) datagrams_down: Sent,
    finished: bool,
    unread: usize,
    opened: bool,
    fin: bool,
    pub(super) ended: Option<EndReason>,
}

impl Local {
    fn new(kind: FlowKind) -> Self {
        Self {
            kind,
            credit: 0,
            sent: Sent::default(),
            received: Received::default(),
            datagrams_down: Sent::default(),
            finished: false,
            unread: 0,
            opened: false,
            fin: false,
            ended: None,
        }
    }

    /// Whether it waits for its flow, and not the flow for it.
    pub(super) fn waits(&self) -> bool {
        self.ended.is_none() && self.unread == 0
    }

    fn may_speak(&self) -> bool {
        !self.finished && self.ended.is_none()
    }
}

impl Pair {
    pub(super) fn open(&mut self, kind: FlowKind) {
        let host = format!("flow{}", self.locals.len());
        let target = Target::new(&host, 443).expect("a target");
        let flow = self.client.open(self.now, target, kind).expect("room for a flow");
        assert_eq!(flow.number(), u64::try_from(self.locals.len()).expect("few flows"));
        self.locals.insert(flow, Local::new(kind));
        self.drain();
    }

    pub(super) fn write(&mut self, index: usize, len: usize) {
        let Some(flow) = pick(&self.locals, index) else { return };
        let Some(local) = self.locals.get_mut(&flow).filter(|local| local.may_speak()) else { return };
        let content = Content::up(flow.number());
        let bytes = match local.kind {
            FlowKind::Tcp => {
                let len = len.min(local.credit);
                local.credit -= len;
                local.sent.chunk(content, len)
            }
            FlowKind::Udp => local.sent.datagram(content, len),
        };
        self.local(flow, LocalEvent::Data(bytes));
    }

    pub(super) fn finish(&mut self, index: usize) {
        let Some(flow) = pick(&self.locals, index) else { return };
        if let Some(local) = self.locals.get_mut(&flow).filter(|local| local.may_speak()) {
            local.finished = true;
            self.local(flow, LocalEvent::Fin);
        }
    }

    pub(super) fn reset(&mut self, index: usize) {
        if let Some(flow) = pick(&self.locals, index) {
            self.local(flow, LocalEvent::Reset);
        }
    }

    pub(super) fn read(&mut self, index: usize) {
        let Some(flow) = pick(&self.locals, index) else { return };
        if let Some(local) = self.locals.get_mut(&flow).filter(|local| local.unread > 0) {
            let unread = core::mem::take(&mut local.unread);
            self.local(flow, LocalEvent::Written(unread));
        }
    }

    fn local(&mut self, flow: FlowId, event: LocalEvent) {
        self.client.handle(self.now, ClientEvent::Local { flow, event }).expect("within the contract");
        self.drain();
    }

    /// Performs an action of the client, and checks that it is allowed.
    pub(super) fn on_client(&mut self, action: ClientAction) {
        match action {
            ClientAction::Send { exchange, relay, body, .. } => {
                self.on_send(exchange, relay, body.into_bytes());
            }
            ClientAction::Deliver { flow, bytes } => {
                let duplicated = self.duplicated;
                let content = Content::down(flow.number());
                let local = live(self.locals.get_mut(&flow));
                assert!(!local.fin, "S4: bytes after the end of the downlink");
                local.unread += bytes.len();
                match local.kind {
                    FlowKind::Tcp => local.received.chunk(content, &bytes),
                    FlowKind::Udp => {
                        let sent = local.datagrams_down.datagrams;
                        local.received.datagram(content, &bytes, sent, duplicated);
                    }
                }
            }
            ClientAction::Credit { flow, bytes } => live(self.locals.get_mut(&flow)).credit += bytes,
            ClientAction::Opened { flow } => {
                let opened = core::mem::replace(&mut live(self.locals.get_mut(&flow)).opened, true);
                assert!(!opened, "S4: flow {flow} opened twice");
            }
            ClientAction::Fin { flow } => {
                let fin = core::mem::replace(&mut live(self.locals.get_mut(&flow)).fin, true);
                assert!(!fin, "S4: the downlink of flow {flow} ended twice");
            }
            ClientAction::Ended { flow, why } => {
                let local = live(self.locals.get_mut(&flow));
                local.ended = Some(why);
                assert_eq!(local.fin, why == EndReason::Finished, "S1: a cut that looks like an end");
            }
            ClientAction::Closed | ClientAction::Event(_) | ClientAction::Idle { .. } => {}
        }
    }

    fn on_send(&mut self, exchange: ExchangeId, relay: RelayId, body: bytes::Bytes) {
        assert!(self.exchanges.insert(exchange), "S5: an exchange was sent twice");
        self.requests.push(super::network::Request { exchange, relay, body });
    }
}

fn live(local: Option<&mut Local>) -> &mut Local {
    local.filter(|local| local.ended.is_none()).expect("S4: something for a flow after its end")
}
