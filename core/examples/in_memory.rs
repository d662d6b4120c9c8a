//! A client and a node joined in memory: no socket, no clock, no runtime. The upstream sends back what it gets.

use std::error::Error;

use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, Endpoint, ExchangeId, FlowKind, Form, Instant,
    LocalEvent, Node, NodeAction, NodeEvent, NodeOptions, RelayOptions, RequestId, Secret, Target,
    UpstreamEvent,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut now = Instant::ZERO;
    let relay = RelayOptions::new(Secret::new("key")).form(Form::Node);
    let mut client = Client::new(ClientOptions::new(vec![relay]).validate()?, [1; 32], now);
    let mut node = Node::new(NodeOptions::new(Secret::new("key")).validate()?, [2; 32], now);
    client.open(now, Target::new("echo.example", 7)?, FlowKind::Tcp)?;
    loop {
        // What the client wants done. Its exchanges are the node's requests.
        let client_wake = match client.poll() {
            ClientAction::Idle { wake } => wake,
            ClientAction::Send { exchange, body, .. } => {
                let request = RequestId::new(exchange.number());
                node.handle(
                    now,
                    NodeEvent::Request { request, endpoint: Endpoint::Batch, body: body.into_bytes() },
                )?;
                continue;
            }
            ClientAction::Opened { flow } => {
                client.handle(now, ClientEvent::Local { flow, event: LocalEvent::Data("hello".into()) })?;
                continue;
            }
            ClientAction::Deliver { bytes, .. } => {
                println!("{} came back after {} µs", bytes.escape_ascii(), now.as_micros());
                return Ok(());
            }
            _ => continue,
        };
        // What the node wants done. Its responses are the client's replies.
        let (upstream, events) = match node.poll() {
            NodeAction::Idle { wake: node_wake } => {
                // Nothing is left to do at this time: on to the next one at which something falls due.
                let due = client_wake.into_iter().chain(node_wake).map(|wake| wake.at).min();
                now = due.ok_or("both machines wait for ever")?;
                client.handle(now, ClientEvent::Timeout)?;
                node.handle(now, NodeEvent::Timeout)?;
                continue;
            }
            NodeAction::Respond { request, response } => {
                let exchange = ExchangeId::new(request.number());
                client.handle(now, ClientEvent::Reply { exchange, body: response.body.into_bytes() })?;
                continue;
            }
            NodeAction::OpenUpstream { upstream, .. } => (upstream, vec![UpstreamEvent::Opened]),
            NodeAction::WriteUpstream { upstream, bytes } => {
                (upstream, vec![UpstreamEvent::Written(bytes.len()), UpstreamEvent::Data(bytes)])
            }
            _ => continue,
        };
        events.into_iter().try_for_each(|event| node.handle(now, NodeEvent::Upstream { upstream, event }))?;
    }
}
