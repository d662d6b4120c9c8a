//! SOCKS5 UDP ASSOCIATE: one local UDP socket, and a flow for each target (RFC 1928 section 7).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use seqlane::{FlowId, FlowKind, Target};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tracing::debug;

use super::socks::{self, Datagram};
use crate::client::flow::{FlowHandle, Flows};
use crate::client::messages::{ActionSender, FlowAction};

/// The largest payload of a UDP datagram over IPv4.
const MAX_PAYLOAD: usize = 65_507;

/// Serves an association until the application closes `control`, with at most `max_targets` targets at a time.
pub(super) async fn associate(mut control: TcpStream, flows: Flows, max_targets: usize) -> io::Result<()> {
    let application = control.peer_addr()?.ip();
    let socket = UdpSocket::bind((control.local_addr()?.ip(), 0)).await?;
    let address = socket.local_addr()?;
    socks::reply_bound(&mut control, address).await?;
    debug!(%address, "UDP association");
    let (sender, mut actions) = mpsc::unbounded_channel();
    let mut association = Association {
        socket,
        application: Application::Unknown(application.to_canonical()),
        targets: Targets::new(flows, sender, max_targets),
    };
    let mut datagram = vec![0; MAX_PAYLOAD];
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            read = control.read(&mut ignored) => if read? == 0 { return Ok(()) },
            // An error reports the loss of an earlier datagram (ICMP); the socket stays usable.
            Ok((length, from)) = association.socket.recv_from(&mut datagram) => {
                association.on_datagram(&datagram[..length], from).await;
            }
            Some((flow, action)) = actions.recv() => association.on_action(flow, action),
        }
    }
}

struct Association {
    socket: UdpSocket,
    application: Application,
    targets: Targets,
}

/// The origin of the application's datagrams: the address of its TCP connection, and the port of its first datagram.
///
/// ```text
///   Unknown ── first datagram ──▶ Known
/// ```
#[derive(Clone, Copy, Debug)]
enum Application {
    Unknown(IpAddr),
    Known(SocketAddr),
}

impl Association {
    async fn on_datagram(&mut self, bytes: &[u8], from: SocketAddr) {
        let known = match self.application {
            Application::Unknown(ip) => from.ip().to_canonical() == ip,
            Application::Known(address) => from == address,
        };
        let Some(datagram) = Datagram::parse(bytes).filter(|_| known) else { return };
        self.application = Application::Known(from);
        if let Some(flow) = self.targets.flow(datagram.target).await {
            flow.send(Bytes::copy_from_slice(datagram.payload)).await;
        }
    }

    fn on_action(&mut self, flow: FlowId, action: FlowAction) {
        match action {
            FlowAction::Deliver(payload) => self.deliver(flow, &payload),
            FlowAction::Ended(_) => self.targets.remove(flow),
            FlowAction::Opened | FlowAction::Credit(_) | FlowAction::Fin => {}
        }
    }

    /// Sends at once or not at all, as a network would: nothing waits here for the application.
    fn deliver(&self, flow: FlowId, payload: &[u8]) {
        let Some(target) = self.targets.by_flow.get(&flow) else { return };
        if let Application::Known(address) = self.application {
            let mut datagram = socks::header(target);
            datagram.extend_from_slice(payload);
            if let Err(error) = self.socket.try_send_to(&datagram, address) {
                debug!(%flow, %error, "datagram dropped");
            }
        }
        if let Some(entry) = self.targets.by_target.get(target) {
            entry.flow.written(payload.len());
        }
    }
}

/// The flows of an association, by target and by id.
struct Targets {
    flows: Flows,
    sender: ActionSender,
    max_targets: usize,
    by_target: HashMap<Target, Entry>,
    by_flow: HashMap<FlowId, Target>,
    uses: u64,
}

struct Entry {
    flow: FlowHandle,
    /// Orders entries by their last use.
    used: u64,
}

impl Targets {
    fn new(flows: Flows, sender: ActionSender, max_targets: usize) -> Self {
        let (by_target, by_flow) = (HashMap::new(), HashMap::new());
        Self { flows, sender, max_targets, by_target, by_flow, uses: 0 }
    }

    /// The flow to a target, opened if there is none. Opening waits for the driver, not for the node: the machine
    /// keeps the datagrams of a flow that is not open yet.
    async fn flow(&mut self, target: Target) -> Option<&FlowHandle> {
        self.uses += 1;
        if !self.by_target.contains_key(&target) {
            self.make_room();
            let open = self.flows.open_on(target.clone(), FlowKind::Udp, self.sender.clone());
            match open.await {
                Ok(flow) => {
                    self.by_flow.insert(flow.id(), target.clone());
                    self.by_target.insert(target.clone(), Entry { flow, used: self.uses });
                }
                Err(error) => {
                    debug!(?error, "datagram dropped: flow not opened");
                    return None;
                }
            }
        }
        let entry = self.by_target.get_mut(&target)?;
        entry.used = self.uses;
        Some(&entry.flow)
    }

    /// Removes the flow that was used longest ago, if there is no room for another.
    fn make_room(&mut self) {
        if self.by_target.len() < self.max_targets {
            return;
        }
        let oldest = self.by_target.values().min_by_key(|entry| entry.used).map(|entry| entry.flow.id());
        if let Some(target) = oldest.and_then(|flow| self.by_flow.remove(&flow)) {
            self.by_target.remove(&target);
        }
    }

    /// Removes a flow that the machine has ended.
    fn remove(&mut self, flow: FlowId) {
        let target = self.by_flow.remove(&flow);
        if let Some(mut entry) = target.and_then(|target| self.by_target.remove(&target)) {
            entry.flow.ended();
        }
    }
}
