//! Ops and replies that are encoded and decoded again.

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{Caps, Form, Secret, Seq, Target};

use crate::FromBytes;

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 64 };

struct Maker<'a>(FromBytes<'a>);

impl Maker<'_> {
    fn bytes(&mut self) -> Bytes {
        self.0.bytes(70)
    }

    fn seq(&mut self) -> Option<Seq> {
        match self.0.one_of(4) {
            0 => None,
            1 => Some(Seq::ZERO),
            2 => Some(Seq::new(u64::MAX)),
            _ => Some(Seq::new(u64::from(self.0.one_of(60_000)))),
        }
    }

    fn sid(&mut self) -> Sid {
        let name = self.0.any(["s", "9bf1", "edns-doh", "with \"quotes\" and \u{e9}"]);
        Sid::new(name).expect("a session id")
    }

    fn target(&mut self) -> Target {
        let host = self.0.any(["h", "example.org", "2001:db8::1"]);
        Target::new(host, 1 + self.0.one_of(65_535) as u16).expect("a target")
    }

    fn op(&mut self) -> Op {
        match self.0.one_of(6) {
            0 => Op::Connect { target: self.target() },
            1 => Op::ConnectData { target: self.target(), payload: self.bytes() },
            2 => Op::UdpOpen { target: self.target(), payload: self.bytes() },
            3 => Op::UdpData { sid: self.sid(), payload: self.bytes() },
            4 => Op::Close { sid: self.sid() },
            _ => Op::Data { sid: self.sid(), seq: self.seq(), payload: self.bytes() },
        }
    }
}

/// What is written is read as it was, and as long as foretold.
///
/// # Panics
/// When it is not.
pub fn round_trip(data: &[u8]) {
    let mut maker = Maker(FromBytes::new(data));
    let ops: Vec<Op> = (0..maker.0.one_of(9)).map(|_| maker.op()).collect();
    let key = Secret::new("a \"key\"\n");
    for form in [Form::Node, Form::Relay] {
        let body = wire::encode_request(form, &key, ops.iter());
        let foretold = wire::request_overhead(form, &key) + ops.iter().map(Op::encoded_len).sum::<usize>();
        assert!(body.len() <= foretold, "{} B, foretold {foretold}", body.len());
        let request = wire::decode_request(&body, LIMITS).expect("own writing");
        assert!(key.matches(&request.key));
        let read: Result<Vec<Op>, _> = request.decode_ops().into_iter().collect();
        assert_eq!(read.expect("own ops"), ops);
    }
    replies(&mut maker);
}

fn replies(maker: &mut Maker<'_>) {
    let (sid, seq, caps, eof) = (maker.sid(), maker.seq(), maker.0.one_of(60_000), maker.0.one_of(2) == 1);
    let data = [maker.bytes(), maker.bytes()];
    let packets: Vec<Bytes> = (0..maker.0.one_of(3)).map(|_| maker.bytes()).collect();
    let reply = ReplyParts {
        sid: Some(sid),
        data: &data,
        packets: &packets,
        eof: Some(eof),
        seq,
        caps: Some(Caps::from_bits(caps)),
        ..ReplyParts::default()
    };
    let body = wire::encode_answer(&[reply, reply]);
    let read = wire::decode_answer(&body, 2, LIMITS).expect("own writing");
    for read in read.iter() {
        assert_eq!(read.data, data.concat());
        assert_eq!(read.packets, packets);
        assert_eq!((read.sid, read.seq, read.eof), (Some(sid), seq, eof));
        assert_eq!(read.caps, Some(Caps::from_bits(caps)));
    }
}
