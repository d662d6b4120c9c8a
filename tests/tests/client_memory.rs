//! What a client costs: heap per idle session, and allocations per chunk.
#![allow(missing_docs)] // a test has no callers

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{
    Caps, Client, ClientAction, ClientEvent, ClientOptions, ExchangeId, FlowId, FlowKind, Instant, Level,
    LocalEvent, RelayOptions, Secret, Target,
};
use seqlane_tests::allocator::{Asked, Counting, count, live};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Instant = Instant::from_micros(1);

fn client(streams: usize) -> Client {
    let relay = RelayOptions::new(Secret::new("k")).max_concurrent(10_000);
    let options = ClientOptions::new(vec![relay]).max_level(Level::Sequenced).max_flows(streams);
    Client::new(options.validate().expect("valid options"), [1; 32], NOW)
}

/// The next call, if the client makes one.
fn next_call(client: &mut Client) -> Option<(ExchangeId, Vec<Op>)> {
    loop {
        match client.poll() {
            ClientAction::Send { exchange, body, .. } => {
                let limits = Limits { max_body: usize::MAX, max_ops: 1000 };
                let ops =
                    wire::decode_request(&body.into_bytes(), limits).expect("our own request").decode_ops();
                return Some((exchange, ops.into_iter().map(|op| op.expect("our own op")).collect()));
            }
            ClientAction::Idle { .. } => return None,
            _ => {}
        }
    }
}

fn reply(op: &Op, number: usize, data: &[Bytes]) -> Bytes {
    let sid = Sid::new(&format!("5f0e7a0c-9bf1-4d2e-8a55-{number:012}"));
    let reply = match op {
        Op::Data { sid, seq, .. } => ReplyParts { sid: Some(*sid), seq: *seq, data, ..ReplyParts::default() },
        _ => ReplyParts { sid, caps: Some(Caps::PIPELINE_SEQ), ..ReplyParts::default() },
    };
    wire::encode_answer(&[ReplyParts { eof: Some(false), ..reply }])
}

/// An answer to every op of a call.
fn answer(client: &mut Client, exchange: ExchangeId, ops: &[Op], number: usize) {
    let bodies: Vec<String> = ops
        .iter()
        .map(|op| String::from_utf8(reply(op, number, &[]).to_vec()).expect("JSON"))
        .map(|body| body[6..body.len() - 2].to_owned())
        .collect();
    let body = Bytes::from(format!("{{\"r\":[{}]}}", bodies.join(",")));
    client.handle(NOW, ClientEvent::Reply { exchange, body }).expect("a call of ours");
}

fn link(client: &mut Client, number: usize) -> FlowId {
    let flow = client.open(NOW, Target::new("h", 22).expect("a target"), FlowKind::Tcp).expect("room");
    // Polls are answered at once too, so the client soon polls no more: nobody seems to hold them.
    while let Some((exchange, ops)) = next_call(client) {
        answer(client, exchange, &ops, number);
    }
    flow
}

#[test]
fn an_idle_session_takes_at_most_2_kib() {
    const SESSIONS: usize = 5_000;
    let mut client = client(SESSIONS);
    link(&mut client, 0);
    let before = live();
    for number in 1..SESSIONS {
        link(&mut client, number);
    }
    let each = (live() - before) as usize / (SESSIONS - 1);
    println!("{each} bytes of heap per idle session");
    assert!(each <= 2048, "{each} bytes of heap per idle session");
}

/// A call, its ops, and the answer that waits for it: so that only the client's own work is counted.
fn round(client: &mut Client, flow: FlowId, chunk: &Bytes, chunks: usize) -> Asked {
    let (asked, ()) = count(&mut || {
        for _ in 0..chunks {
            let event = LocalEvent::Data(chunk.clone());
            client.handle(NOW, ClientEvent::Local { flow, event }).expect("within credit");
        }
    });
    while let Some((exchange, ops)) = next_call(client) {
        answer(client, exchange, &ops, 0);
    }
    asked
}

#[test]
fn taking_in_a_chunk_allocates_nothing_in_steady_state() {
    let mut client = client(10);
    let flow = link(&mut client, 0);
    let chunk = Bytes::from(vec![7; 1000]);
    for _ in 0..50 {
        round(&mut client, flow, &chunk, 20);
    }
    for _ in 0..50 {
        assert_eq!(round(&mut client, flow, &chunk, 20).pieces, 0);
    }
}

#[test]
fn delivering_chunks_allocates_no_more_for_many_than_for_one() {
    let cost = |chunks: usize| {
        let mut client = client(100);
        let streams: Vec<FlowId> = (0..chunks).map(|number| link(&mut client, number)).collect();
        let bytes = [Bytes::from(vec![7; 500])];
        let mut pieces = usize::MAX;
        for _ in 0..20 {
            for flow in &streams {
                let event = LocalEvent::Data(Bytes::from_static(b"x"));
                client.handle(NOW, ClientEvent::Local { flow: *flow, event }).expect("within credit");
            }
            while let Some((exchange, ops)) = next_call(&mut client) {
                if ops.len() != chunks || ops.iter().all(|op| op.payload().is_some_and(Bytes::is_empty)) {
                    answer(&mut client, exchange, &ops, 0);
                    continue;
                }
                let replies: Vec<ReplyParts<'_>> = ops
                    .iter()
                    .map(|op| match op {
                        Op::Data { sid, seq, .. } => ReplyParts {
                            sid: Some(*sid),
                            seq: *seq,
                            data: &bytes,
                            eof: Some(false),
                            ..ReplyParts::default()
                        },
                        other => panic!("a data op: {other:?}"),
                    })
                    .collect();
                let body = wire::encode_answer(&replies);
                let (asked, ()) = count(&mut || {
                    client
                        .handle(NOW, ClientEvent::Reply { exchange, body: body.clone() })
                        .expect("a call of ours");
                });
                pieces = pieces.min(asked.pieces);
            }
            for flow in &streams {
                let event = LocalEvent::Written(0);
                client.handle(NOW, ClientEvent::Local { flow: *flow, event }).expect("nothing wrong");
            }
        }
        pieces
    };
    let (one, many) = (cost(1), cost(40));
    println!("{one} allocations for an answer with 1 chunk, {many} for one with 40");
    assert!(many <= one + 4, "{one} allocations for 1 chunk, {many} for 40");
}
