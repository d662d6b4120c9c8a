//! The wire as a whole, both directions.

use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::Target;

mod answers;
mod bad_packets;
mod golden;
mod handshake;
mod packets;
mod properties;
mod requests;
mod seals;
mod vectors;

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 50 };

fn text(bytes: &Bytes) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

fn target(host: &str, port: u16) -> Target {
    Target::new(host, port).unwrap()
}

fn sid(text: &str) -> Sid {
    Sid::new(text).unwrap()
}

fn read_ops(body: &[u8]) -> Vec<Result<Op, BadOp>> {
    decode_request(body, LIMITS).unwrap().decode_ops()
}

/// The parts that write `reply` as a node would, its data lying in `pieces`. An error has no `eof`.
fn parts<'a>(reply: &'a Reply, pieces: &'a [Bytes]) -> ReplyParts<'a> {
    ReplyParts {
        sid: reply.sid,
        data: pieces,
        packets: &reply.packets,
        eof: reply.error.is_none().then_some(reply.eof),
        error: reply.error.as_deref(),
        code: reply.code,
        seq: reply.seq,
        caps: reply.caps,
    }
}
