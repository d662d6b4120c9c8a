//! Arbitrary bytes as requests, as answers and as pages.

use bytes::Bytes;
use seqlane::wire::{self, Limits, Reply, ReplyParts};
use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, FlowKind, Form, Instant, RelayOptions, Secret, Target,
};

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 64 };

/// Reads bytes as a batch and as a single request; what can be read survives a second round.
///
/// # Panics
/// When it does not.
pub fn decode_request(data: &[u8]) {
    if let Ok(request) = wire::decode_request(data, LIMITS) {
        let len = request.len();
        let ops = request.decode_ops();
        assert_eq!(ops.len(), len, "one result for every element");
        let good: Vec<_> = ops.into_iter().flatten().collect();
        let body = wire::encode_request(Form::Node, &Secret::new("k"), good.iter());
        let again =
            wire::decode_request(&body, Limits { max_body: usize::MAX, ..LIMITS }).expect("own writing");
        let again: Result<Vec<_>, _> = again.decode_ops().into_iter().collect();
        assert_eq!(again.expect("own ops"), good);
    }
    if let Ok(request) = wire::decode_single(data, LIMITS) {
        let _ = request.decode_op();
    }
}

/// Reads bytes as an answer to as many ops as the first byte says.
///
/// # Panics
/// When what was read is written and read again as something else.
pub fn decode_reply(data: &[u8]) {
    let Some((ops, body)) = data.split_first() else { return };
    let ops = usize::from(*ops) % 8;
    let Ok(replies) = wire::decode_answer(body, ops, LIMITS) else { return };
    assert_eq!(replies.len(), ops, "one reply for every op");
    let whole: Vec<&Reply> = replies.iter().filter(|reply| !reply.damaged && reply.error.is_none()).collect();
    let parts: Vec<ReplyParts<'_>> = whole.iter().map(|reply| parts(reply)).collect();
    let written = wire::encode_answer(&parts);
    let limits = Limits { max_body: usize::MAX, ..LIMITS };
    let again = wire::decode_answer(&written, parts.len(), limits).expect("own writing");
    for (reply, again) in whole.into_iter().zip(again.iter()) {
        assert_eq!((&reply.data, &reply.packets), (&again.data, &again.packets));
        assert_eq!((reply.sid, reply.eof, reply.seq), (again.sid, again.eof, again.seq));
    }
}

fn parts(reply: &Reply) -> ReplyParts<'_> {
    ReplyParts {
        sid: reply.sid,
        data: std::slice::from_ref(&reply.data),
        packets: &reply.packets,
        eof: Some(reply.eof),
        seq: reply.seq,
        caps: reply.caps,
        ..ReplyParts::default()
    }
}

/// Whatever comes back, an exchange ends with it, and a client goes on.
///
/// # Panics
/// When a client does not come to rest, or counts an exchange that ended twice.
pub fn decode_page(data: &[u8]) {
    let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("k"))]);
    let mut client = Client::new(options.validate().expect("valid"), [1; 32], Instant::ZERO);
    client.open(Instant::ZERO, Target::new("h", 25).expect("a target"), FlowKind::Tcp).expect("room");
    let mut waiting = Vec::new();
    let mut answered = 0;
    loop {
        match client.poll() {
            ClientAction::Send { exchange, .. } => waiting.push(exchange),
            ClientAction::Idle { .. } => {
                let Some(exchange) = waiting.pop().filter(|_| answered < 8) else { break };
                answered += 1;
                let reply = ClientEvent::Reply { exchange, body: Bytes::copy_from_slice(data) };
                client.handle(Instant::from_micros(answered), reply).expect("an answer is never misuse");
            }
            _ => {}
        }
    }
    let stats = client.stats();
    assert_eq!(stats.answered + stats.failed, answered, "every exchange ends once");
}
