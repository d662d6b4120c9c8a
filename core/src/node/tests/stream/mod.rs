//! Tests of level 2 at the node, with a client that sends what a test tells it to.

mod confirm;
mod contract;
mod exchanges;
mod flow_control;
mod hello;
mod holding;
mod hostile;
mod lifetime;
mod random;
mod repair;
mod sparse;
mod udp;

use super::*;
use crate::level::Level;
use crate::seq::Seq;
use crate::wire::direction::Direction;
use crate::wire::frame::Frame;
use crate::wire::handshake::{
    ClientHello, ConnectionKeys, HelloPayload, Notice, NoticeKind, SecretKeys, Token,
};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{
    self, ClientId, Grants, RequestHeader, ResponseHeader, ResponseRoom, Status, Unsealed,
};
use crate::wire::reset::ResetCode;
use crate::wire::seal::{Nonces, Seal};

const MIB: u64 = 1 << 20;

/// A node, and a client of it.
struct Pair {
    rig: Rig,
    keys: SecretKeys,
    nonces: Nonces,
    /// The connection that the client speaks of.
    connection: Connection,
    /// What the next request says, beside its number.
    terms: Terms,
}

/// A connection, as its client knows it.
#[derive(Clone)]
struct Connection {
    client: ClientId,
    up: Seal,
    down: Seal,
}

#[derive(Clone, Copy)]
struct Terms {
    hold: u64,
    max_held: u32,
    max_response: u64,
    total: u64,
    confirm: u64,
    done: u64,
}

/// What the client read from an answer.
#[derive(Debug)]
struct Answer {
    header: ResponseHeader,
    frames: Vec<Frame>,
    len: usize,
}

impl Answer {
    fn status(&self, exchange: u64) -> Option<Status> {
        self.header.statuses().find(|(number, _)| number.get() == exchange).map(|(_, status)| status)
    }

    fn has(&self, frame: &Frame) -> bool {
        self.frames.contains(frame)
    }

    /// The bytes of DATA frames of a stream, in the order of the packet.
    fn data(&self, of: u64) -> Vec<u8> {
        let chunks = self.frames.iter().filter_map(|frame| match frame {
            Frame::Data { stream, bytes, .. } if stream.get() == of => Some(&bytes[..]),
            _ => None,
        });
        chunks.collect::<Vec<_>>().concat()
    }

    fn backlog(&self) -> Option<u64> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::Backlog { bytes } => Some(*bytes),
            _ => None,
        })
    }
}

impl Pair {
    /// A client that has said hello under number 1, and nothing else.
    fn strangers(change: impl FnOnce(&mut NodeOptions)) -> Self {
        let mut secret = Secret::new("");
        let rig = Rig::with(|options| {
            options.max_level = Level::Streams;
            change(options);
            secret = options.secret.clone().unwrap_or_else(|| Secret::new(""));
        });
        let terms =
            Terms { hold: 25_000, max_held: 1, max_response: MIB, total: 64 * MIB, confirm: 0, done: 0 };
        let keys = SecretKeys::new(&secret);
        let nobody = ConnectionKeys::of_test(keys.client_id([0; 8]), [0; 32], [1; 32]);
        Self { rig, keys, nonces: Nonces::new([9; 32]), connection: Connection::new(&nobody), terms }
    }

    /// A client whose exchange 0 is answered.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut NodeOptions)) -> Self {
        let mut pair = Self::strangers(change);
        pair.connect(1);
        pair
    }

    /// A connection under this number, whose exchange 0 is answered.
    fn connect(&mut self, number: u8) -> Grants {
        let grants = self.hello(number);
        let terms = self.terms;
        self.terms = Terms { hold: 0, done: 0, ..terms };
        let request = self.ask(0, &[]);
        self.answer(request);
        self.terms = Terms { done: 1, ..terms };
        grants
    }

    /// The hello under this number.
    fn client_hello(&self, number: u8, token: Option<Token>) -> ClientHello {
        let client = self.keys.client_id([number; 8]);
        ClientHello::new(&self.keys, client, [number; 32], HelloPayload { token })
    }

    /// Says hello under this number, and speaks of that connection from now on.
    fn hello(&mut self, number: u8) -> Grants {
        let hello = self.client_hello(number, None);
        let request = self.rig.batch(&[Op::Streams { packet: hello.packet() }]);
        let (payload, keys) = hello.read(&self.rig.reply(request).data).expect("an answer");
        self.connection = Connection::new(&keys);
        payload.grants
    }

    /// What the node says to a hello that it does not let in.
    fn refusal(&mut self, number: u8, token: Option<Token>) -> Option<Notice> {
        let hello = self.client_hello(number, token).packet();
        let request = self.rig.batch(&[Op::Streams { packet: hello.clone() }]);
        self.notice(&hello, request)
    }

    /// The notice that answers a packet.
    fn notice(&self, packet: &[u8], request: RequestId) -> Option<Notice> {
        let data = self.rig.reply(request).data;
        Notice::open(self.keys.notice(), packet.first_chunk()?, &data).ok()
    }

    /// Whether a request of the connection is answered by `unknown`.
    fn is_unknown(&mut self, exchange: u64, frames: &[Frame]) -> bool {
        let header = self.header(exchange);
        let packet = self.packet(&header, frames);
        let request = self.rig.batch(&[Op::Streams { packet: packet.clone() }]);
        self.notice(&packet, request).is_some_and(|notice| notice.kind == NoticeKind::Unknown)
    }

    fn header(&self, exchange: u64) -> RequestHeader {
        let Terms { hold, max_held, max_response, total, confirm, done } = self.terms;
        RequestHeader {
            exchange: ExchangeNumber::new(exchange),
            done: ExchangeNumber::new(done.min(exchange)),
            hold: Duration::from_millis(hold),
            max_held,
            max_response: ResponseRoom::new(max_response).unwrap(),
            total,
            confirm: Some(Duration::from_millis(confirm)).filter(|confirm| !confirm.is_zero()),
        }
    }

    fn packet(&mut self, header: &RequestHeader, frames: &[Frame]) -> Bytes {
        let mut writer = Unsealed::request(header, 0);
        for frame in frames {
            writer.push(frame);
        }
        writer.seal(&self.connection.up, self.nonces.next())
    }

    fn send(&mut self, header: &RequestHeader, frames: &[Frame]) -> RequestId {
        let packet = self.packet(header, frames);
        self.rig.batch(&[Op::Streams { packet }])
    }

    /// Sends the request of `exchange` with these frames.
    fn ask(&mut self, exchange: u64, frames: &[Frame]) -> RequestId {
        let header = self.header(exchange);
        self.send(&header, frames)
    }

    fn read(&self, packet: Bytes) -> Answer {
        let len = packet.len();
        let (header, frames) = packet::decode_response(self.connection.down.open(packet).unwrap()).unwrap();
        Answer { header, frames: frames.collect(), len }
    }

    fn answer(&self, request: RequestId) -> Answer {
        let reply = self.rig.reply(request);
        assert_eq!(reply.error, None);
        self.read(reply.data)
    }

    /// The answer to a request that is answered within `millis`.
    fn answer_after(&mut self, request: RequestId, millis: u64) -> Answer {
        self.rig.run(millis);
        self.answer(request)
    }

    /// Opens stream `number` with exchange `exchange`, lets the upstream connect, and fetches OPENED. Credit for the
    /// downlink is 64 MiB.
    fn stream(&mut self, number: u64, exchange: u64) -> UpstreamId {
        let request = self.ask(exchange, &[open(number)]);
        let upstream = self.rig.last_opened();
        self.rig.opened(upstream);
        self.rig.run(10);
        let answer = self.answer(request);
        assert!(answer.has(&opened(number)), "{answer:?}");
        self.terms.done = exchange + 1;
        upstream
    }

    fn is_bad_packet(&self, request: RequestId) -> bool {
        self.rig.reply(request).error.as_deref() == Some("bad packet")
    }

    fn faults(&self) -> Vec<ClientFault> {
        let ends = self.rig.notices.iter().filter_map(|notice| match notice {
            NodeNotice::ClientEnded { why: ClientEnd::Failed(fault), .. } => Some(*fault),
            _ => None,
        });
        ends.collect()
    }
}

impl Connection {
    fn new(keys: &ConnectionKeys) -> Self {
        let seal = |way| Seal::new(keys, way);
        Self { client: keys.client(), up: seal(Direction::Up), down: seal(Direction::Down) }
    }
}

const fn number(stream: u64) -> StreamNumber {
    StreamNumber::new(stream)
}

fn open(stream: u64) -> Frame {
    open_with(stream, FlowKind::Tcp, 64 * MIB)
}

fn open_with(stream: u64, kind: FlowKind, window: u64) -> Frame {
    Frame::Open { stream: number(stream), kind, window, target: target() }
}

const fn opened(stream: u64) -> Frame {
    Frame::Opened { stream: number(stream) }
}

fn chunk(stream: u64, seq: u64, bytes: &'static [u8]) -> Frame {
    Frame::Data { stream: number(stream), seq: Seq::new(seq), fin: false, bytes: Bytes::from_static(bytes) }
}

fn last(stream: u64, seq: u64, bytes: &'static [u8]) -> Frame {
    Frame::Data { stream: number(stream), seq: Seq::new(seq), fin: true, bytes: Bytes::from_static(bytes) }
}

const fn ack(stream: u64, next: u64) -> Frame {
    Frame::Ack { stream: number(stream), next: Seq::new(next) }
}

const fn window(stream: u64, limit: u64) -> Frame {
    Frame::Window { stream: number(stream), limit }
}

const fn reset(stream: u64, code: ResetCode) -> Frame {
    Frame::Reset { stream: number(stream), code }
}

const fn resend(exchange: u64) -> Frame {
    Frame::Resend { exchange: ExchangeNumber::new(exchange) }
}

fn datagram(stream: u64, bytes: &'static [u8]) -> Frame {
    Frame::Datagram { stream: number(stream), bytes: Bytes::from_static(bytes) }
}
