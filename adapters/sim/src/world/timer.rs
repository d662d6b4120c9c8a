//! Clocks and timers of the hosts in the world. Hosts are the clients, and then the nodes.

use seqlane::{ClientEvent, Instant, NodeEvent, Wake};

use crate::clock::HostClock;
use crate::oracle::violated;
use crate::trace::{Actor, Sink, What};
use crate::world::World;
use crate::world::event::Event;
use crate::{Chooser, ClientHost, Time};

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// The host of a node.
    pub(super) fn node_host(&self, node: usize) -> usize {
        self.clients.len() + node
    }

    /// What a host's clock shows.
    pub(super) fn shown(&self, host: usize) -> Instant {
        self.hosts[host].clock().read(self.now)
    }

    /// When a host's clock will show an instant; while it stands, as if it ran.
    pub(super) fn when(&self, host: usize, wanted: Instant) -> Time {
        let at = self.hosts[host].clock().when(self.now, wanted);
        at.unwrap_or_else(|| self.now.after(wanted.saturating_since(self.shown(host))))
    }

    /// Sets the timer of a host.
    pub(super) fn arm(&mut self, host: usize, wake: Option<Wake>) {
        if self.hosts[host].set(wake) {
            self.rearm(host);
        }
    }

    /// Sets the timer of a host again.
    pub(super) fn rearm(&mut self, host: usize) {
        if let (Some(at), generation) = self.hosts[host].rearm(self.now) {
            self.at(at, Event::Wake(host, generation));
        }
    }

    /// The timer of a host falls due.
    pub(super) fn on_wake(&mut self, host: usize, generation: u64) {
        let Some(wake) = self.hosts[host].take(generation) else { return };
        let node = host.checked_sub(self.clients.len());
        let actor = node.map_or(Actor::Client(host as u32), |node| Actor::Node(node as u32));
        self.tell(actor, What::Timeout { timer: wake.timer });
        if let Some(node) = node {
            self.node_handle(node, NodeEvent::Timeout);
            self.drain_node(node);
        } else {
            self.client_handle(host, ClientEvent::Timeout);
            self.drain_client(host);
        }
        let now = self.shown(host);
        if let Some(next) = self.hosts[host].wake().filter(|next| next.at <= now) {
            let (next, last) = (next.timer, wake.timer);
            violated!(self.oracle, S9, "{actor} wants to be woken at once for {next:?} after {last:?}");
        }
    }

    /// Changes the clock of a host: everything that the host waits for falls due at another time.
    pub(super) fn change_clock(&mut self, host: usize, change: impl FnOnce(&mut HostClock)) {
        change(self.hosts[host].clock_mut());
        self.oracle.on_clock(host, self.hosts[host].clock().clone());
        let calls = self.clients.get(host).map(|client| client.exchanges.clone());
        for (exchange, (deadline, _)) in calls.into_iter().flatten() {
            self.at(self.when(host, deadline), Event::GiveUp(host, exchange));
        }
        self.rearm(host);
    }
}
