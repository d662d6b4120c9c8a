//! A client and a node joined in memory: no socket, no clock, no runtime. The upstream echoes.

use std::error::Error;

use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, Endpoint, ExchangeId, FlowKind, Form, Instant,
    LocalEvent, Node, NodeAction, NodeEvent, NodeOptions, RelayOptions, RequestId, UpstreamEvent,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut now = Instant::ZERO;
    let relay = RelayOptions::new("key".into()).form(Form::Node);
    let mut client = Client::new(ClientOptions::new(vec![relay]).validate()?, [1; 32], now);
    let mut node = Node::new(NodeOptions::new("key".into()).validate()?, [2; 32], now);
    let flow = client.open(now, "echo.example:7".parse()?, FlowKind::Tcp)?;
    client.handle(now, ClientEvent::Local { flow, event: LocalEvent::Data("hello".into()) })?;
    loop {
        let client_wake = loop {
            match client.poll() {
                ClientAction::Idle { wake } => break wake,
                // The client's exchanges are the node's requests.
                ClientAction::Send { exchange, body, .. } => {
                    let (request, body) = (RequestId::new(exchange.number()), body.into_bytes());
                    node.handle(now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body })?;
                }
                ClientAction::Deliver { bytes, .. } => {
                    println!("{} came back after {} µs", bytes.escape_ascii(), now.as_micros());
                    return Ok(());
                }
                _ => {}
            }
        };
        let node_wake = loop {
            let (upstream, event) = match node.poll() {
                NodeAction::Idle { wake } => break wake,
                // The node's responses are the client's replies.
                NodeAction::Respond { request, response } => {
                    let (exchange, body) = (ExchangeId::new(request.number()), response.body.into_bytes());
                    client.handle(now, ClientEvent::Reply { exchange, body })?;
                    continue;
                }
                NodeAction::OpenUpstream { upstream, .. } => (upstream, UpstreamEvent::Opened),
                NodeAction::WriteUpstream { upstream, bytes } => {
                    let event = UpstreamEvent::Written(bytes.len());
                    node.handle(now, NodeEvent::Upstream { upstream, event })?;
                    (upstream, UpstreamEvent::Data(bytes))
                }
                _ => continue,
            };
            node.handle(now, NodeEvent::Upstream { upstream, event })?;
        };
        // Nothing is left to do at this time: go on to the next deadline.
        now = client_wake.into_iter().chain(node_wake).map(|wake| wake.at).min().ok_or("no deadline")?;
        client.handle(now, ClientEvent::Timeout)?;
        node.handle(now, NodeEvent::Timeout)?;
    }
}

#[test]
fn what_was_sent_comes_back() {
    main().expect("the payload is echoed");
}
