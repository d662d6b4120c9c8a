//! A client of level 2 that keeps or breaks the rules of the protocol.

use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::end::EndCode;
use seqlane::wire::frame::{Frame, MAX_CHUNK};
use seqlane::wire::handshake::{ClientHello, ConnectionKeys, HelloPayload, Token};
use seqlane::wire::number::{ExchangeNumber, StreamNumber};
use seqlane::wire::packet::{ClientId, MIN_RESPONSE, RequestHeader, ResponseRoom, Unsealed};
use seqlane::wire::reset::ResetCode;
use seqlane::wire::seal::{Head, Nonce, Seal};
use seqlane::wire::varint;
use seqlane::{FlowKind, Seq, Target};

use crate::FromBytes;
use crate::fuzz::node_bench::CYCLE;
use crate::hello::KEYS;

/// Streams that a client speaks of at a time: more than a node lets it have.
const STREAMS: u32 = 4;

/// Where every stream of a connection leads to, by name.
pub(super) fn host(client: ClientId) -> String {
    format!("{HOST}{}-{}", client.0[0], client.0[1])
}

/// What the names of such hosts begin with.
pub(super) const HOST: &str = "stream";

/// Ports, which tell the streams of a connection apart.
const PORTS: u64 = 65_535;

/// The most exchanges, and chunks, ahead of the first that counts.
const FAR: u64 = 4096;

/// What the client remembers of a stream.
#[derive(Clone, Copy, Default)]
struct Stream {
    number: u64,
    /// What it was opened as.
    kind: Option<FlowKind>,
    /// The next chunk up.
    next: u64,
    /// Whether that is the last one.
    ends: bool,
    /// The chunk behind the last that came down.
    got: u64,
}

impl Stream {
    const fn new(number: u64) -> Self {
        Self { number, kind: None, next: 0, ends: false, got: 0 }
    }
}

/// A packet or a hello, and what its answer must fit.
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) bytes: Bytes,
    /// What it asks; nothing is known of one that was changed.
    pub(super) asked: Option<Asked>,
    /// Whether what its client says is not what it meant to say.
    pub(super) changed: bool,
}

/// What a packet or a hello asks.
#[derive(Clone)]
pub(super) enum Asked {
    /// To be let in.
    Hello(Box<ClientHello>),
    /// An exchange over the connection with these keys. The packet begins like this.
    Exchange(Box<ConnectionKeys>, Head, RequestHeader),
}

/// What a client learns from an answer.
pub(super) enum Learned {
    /// It has a connection with these keys.
    LetIn(Box<ConnectionKeys>),
    /// It may come again with this.
    Refused(Option<Token>),
    /// The node has no such connection, or has ended it.
    Over,
    /// Frames have come.
    Frames(Vec<Frame>),
}

/// One client, which has one connection after another.
pub(super) struct Peer {
    place: u8,
    /// How many connections there were before.
    before: u8,
    hello: ClientHello,
    keys: Option<ConnectionKeys>,
    /// Those of the connection before.
    older: Option<ConnectionKeys>,
    /// The next exchange, and the first that is not done.
    exchange: u64,
    done: u64,
    /// What its requests have said last of hold, room and the like.
    terms: RequestHeader,
    streams: Vec<Stream>,
    /// The number of the next stream.
    next_stream: u64,
}

impl Peer {
    /// The client whose ids begin with `place`.
    pub(super) fn new(place: u8) -> Self {
        let terms = RequestHeader {
            exchange: ExchangeNumber::ZERO,
            done: ExchangeNumber::ZERO,
            hold: Duration::from_secs(25),
            max_held: 2,
            max_response: ResponseRoom::Bytes(1 << 20),
            total: 1 << 20,
            confirm: Some(Duration::from_millis(300)),
        };
        Self::fresh(place, 0, None, terms)
    }

    /// The client before a hello.
    fn fresh(place: u8, before: u8, token: Option<Token>, terms: RequestHeader) -> Self {
        let client = KEYS.client_id([place, before, 0, 0, 0, 0, 0, 0]);
        Self {
            place,
            before,
            hello: ClientHello::new(&KEYS, client, [before; 32], HelloPayload { token }),
            keys: None,
            older: None,
            exchange: 0,
            done: 0,
            terms,
            streams: (0..STREAMS.into()).map(Stream::new).collect(),
            next_stream: STREAMS.into(),
        }
    }

    pub(super) fn client(&self) -> ClientId {
        self.hello.client()
    }

    /// A packet of its own making, or a hello.
    pub(super) fn packet(&mut self, decide: &mut FromBytes<'_>) -> Packet {
        let way = decide.one_of(64);
        match (way, self.keys.clone()) {
            (58, _) => self.another_hello(decide),
            (59, Some(keys)) => self.goodbye(&keys),
            (60, None) => {
                // As if a hello had been answered.
                let seal = Seal::null(self.client(), Direction::Up);
                let packet = Unsealed::request(&self.terms, 0);
                Packet { bytes: packet.seal(&seal, Nonce::new([1; 24])), asked: None, changed: false }
            }
            (57, _) | (_, None) => self.own_hello(),
            (55, Some(keys)) => {
                // A late word over the connection before this one.
                let keys = self.older.clone().unwrap_or(keys);
                sealed(Unsealed::request(&self.terms, 0), &keys, self.terms)
            }
            (way, Some(keys)) => self.exchange(decide, way, keys),
        }
    }

    fn own_hello(&self) -> Packet {
        Packet {
            bytes: self.hello.packet(),
            asked: Some(Asked::Hello(Box::new(self.hello.clone()))),
            changed: false,
        }
    }

    /// What nobody sends: a second hello under an id.
    fn another_hello(&self, decide: &mut FromBytes<'_>) -> Packet {
        let token = decide.any([None, Some(Token([3; 16]))]);
        let hello =
            ClientHello::new(&KEYS, self.client(), [decide.any([200, 201]); 32], HelloPayload { token });
        Packet { bytes: hello.packet(), asked: None, changed: false }
    }

    /// The end of a connection; another one follows.
    fn goodbye(&mut self, keys: &ConnectionKeys) -> Packet {
        let header = self.next_header();
        let mut writer = Unsealed::request(&header, 0);
        writer.push(&Frame::Goodbye);
        let packet = sealed(writer, keys, header);
        self.begin_anew(None);
        packet
    }

    fn exchange(&mut self, decide: &mut FromBytes<'_>, way: u32, keys: ConnectionKeys) -> Packet {
        let header = self.header(decide);
        let mut writer = Unsealed::request(&header, 0);
        for _ in 0..decide.one_of(6) {
            writer.push(&self.frame(decide, header.exchange));
        }
        let mut plain = writer.plaintext().to_vec();
        let mut changed = false;
        match way {
            56 => plain.extend([17, 0]), // GOODBYE, which must be alone.
            // A frame of an unknown type: skipped when even, fails the packet when odd.
            61 => plain.extend([decide.any([6, 23, 62]), 2, 0, 0]),
            62 => {
                decide.damage(&mut plain);
                changed = true;
            }
            63 => {
                plain.truncate(decide.one_of(256) as usize);
                changed = true;
            }
            _ => {}
        }
        let packet = sealed(Unsealed::of(&plain), &keys, header);
        Packet { asked: packet.asked.filter(|_| !changed), changed, ..packet }
    }

    /// The next exchange on the same terms.
    fn next_header(&mut self) -> RequestHeader {
        let (exchange, done) = (ExchangeNumber::new(self.exchange), ExchangeNumber::new(self.done));
        self.exchange += 1;
        RequestHeader { exchange, done, ..self.terms }
    }

    /// Mostly the next exchange on the same terms; else up to two things are odd.
    fn header(&mut self, decide: &mut FromBytes<'_>) -> RequestHeader {
        let mut header = self.terms;
        let (mut exchange, mut done) = (self.exchange, self.done);
        for _ in 0..2 {
            match decide.one_of(32) {
                19..=21 => exchange = decide.near(self.exchange, 6),
                22 => exchange = self.done + decide.any([FAR - 1, FAR, varint::MAX / 2]),
                23..=25 => done = exchange,
                26 => done = decide.near(self.done, 4),
                27 => {
                    exchange = varint::MAX - u64::from(decide.one_of(4));
                    done = decide.any([self.done, exchange]);
                }
                28..=31 => {
                    self.change_terms(decide);
                    header = self.terms;
                }
                _ => break,
            }
        }
        let exchange = exchange.min(varint::MAX);
        let done = done.min(exchange);
        if exchange - done < 64 && exchange < self.exchange + 64 {
            self.exchange = self.exchange.max(exchange + 1);
            self.done = self.done.max(done);
        }
        RequestHeader { exchange: ExchangeNumber::new(exchange), done: ExchangeNumber::new(done), ..header }
    }

    fn change_terms(&mut self, decide: &mut FromBytes<'_>) {
        let terms = &mut self.terms;
        match decide.one_of(5) {
            0 => terms.hold = Duration::from_millis(decide.any([0, 1, 300, varint::MAX])),
            1 => terms.max_held = decide.any([0, 1, 2, 8, u32::MAX]),
            2 => {
                let bytes = decide.any([MIN_RESPONSE, 0, 1 << 20, varint::MAX]);
                terms.max_response = ResponseRoom::new(bytes).expect("room for a chunk, or none");
            }
            3 => terms.total = decide.any([1 << 16, 0, 1 << 20, varint::MAX]),
            _ => {
                let confirm = decide.any([None, Some(1), Some(300), Some(varint::MAX)]);
                terms.confirm = confirm.map(Duration::from_millis);
            }
        }
    }

    fn frame(&mut self, decide: &mut FromBytes<'_>, exchange: ExchangeNumber) -> Frame {
        let place = decide.one_of(STREAMS) as usize;
        let Stream { number, kind, got, .. } = self.streams[place];
        let stream = StreamNumber::new(number);
        match decide.one_of(32) {
            0..=9 if kind.is_none() => self.open(decide, place),
            0..=9 if kind == Some(FlowKind::Udp) => datagram(decide, stream),
            0..=10 => self.chunk(decide, place),
            11..=15 => Frame::Ack { stream, next: Seq::new(got) },
            16 => {
                let next = decide.any([0, got.saturating_sub(1), got + 1, varint::MAX]);
                Frame::Ack { stream, next: Seq::new(next) }
            }
            17..=19 => Frame::Window { stream, limit: decide.any([1 << 20, 0, 70_000, varint::MAX]) },
            20 => {
                self.renew(place);
                Frame::Reset { stream, code: ResetCode::from_number(decide.one_of(16).into()) }
            }
            21 => datagram(decide, stream),
            22..=25 => Frame::Resend { exchange: resent(decide, exchange) },
            26 => self.open(decide, place),
            27 | 28 => {
                self.renew(place);
                self.open(decide, place)
            }
            29 => {
                // A stream far away, which only the table of the ended ones has to bear.
                let stream = StreamNumber::new(decide.any([1_000, 1_002, varint::MAX]));
                Frame::Reset { stream, code: ResetCode::Aborted }
            }
            30 => {
                // One that has ended perhaps.
                let stream = StreamNumber::new(number.saturating_sub(STREAMS.into()));
                Frame::Data { stream, seq: Seq::ZERO, fin: false, bytes: Bytes::from_static(&[0]) }
            }
            _ => only_down(decide, stream),
        }
    }

    fn renew(&mut self, place: usize) {
        self.streams[place] = Stream::new(self.next_stream);
        self.next_stream += 1;
    }

    /// The target tells whose stream it is.
    fn open(&mut self, decide: &mut FromBytes<'_>, place: usize) -> Frame {
        let kind = if decide.one_of(4) == 3 { FlowKind::Udp } else { FlowKind::Tcp };
        let Stream { number, .. } = self.streams[place];
        self.streams[place].kind.get_or_insert(kind);
        let port = 1 + (number % PORTS) as u16;
        let target = Target::new(&host(self.client()), port).expect("a target");
        let window = decide.any([1 << 20, 0, 1, 70_000, varint::MAX]);
        Frame::Open { stream: StreamNumber::new(number), kind, window, target }
    }

    /// A chunk that says in every byte which it is.
    fn chunk(&mut self, decide: &mut FromBytes<'_>, place: usize) -> Frame {
        let state = &mut self.streams[place];
        let way = decide.one_of(64);
        let seq = match way {
            50..=53 => decide.near(state.next, 4),
            54 => 3_000,
            55 => decide.any([FAR - 1, FAR, FAR + 1, varint::MAX]),
            _ => state.next,
        };
        let fin = way >= 60 || state.ends && seq == state.next;
        state.ends |= fin && seq == state.next;
        if seq == state.next && !fin {
            state.next += 1;
        }
        let len = decide.any([10, 1, 100, 1_000, 1_000, 40_000, MAX_CHUNK, usize::from(!fin)]);
        let bytes = vec![(seq % CYCLE as u64) as u8; len].into();
        Frame::Data { stream: StreamNumber::new(state.number), seq: Seq::new(seq), fin, bytes }
    }

    /// Learns from an answer: what it may say next without breaking a rule.
    pub(super) fn learn(&mut self, learned: Learned) {
        match learned {
            Learned::LetIn(keys) => {
                self.keys.get_or_insert(*keys);
            }
            Learned::Refused(token) => self.begin_anew(token),
            Learned::Over => self.begin_anew(None),
            Learned::Frames(frames) => frames.iter().for_each(|frame| self.hear(frame)),
        }
    }

    fn hear(&mut self, frame: &Frame) {
        let Some(stream) = frame.stream() else { return };
        let Some(place) = self.streams.iter().position(|state| state.number == stream.get()) else { return };
        match frame {
            Frame::Data { seq, .. } => {
                let state = &mut self.streams[place];
                state.got = state.got.max(seq.number() + 1);
            }
            Frame::Reset { .. } => self.renew(place),
            _ => {}
        }
    }

    /// Another connection is to be made, under another id.
    fn begin_anew(&mut self, token: Option<Token>) {
        let older = self.keys.take().or(self.older.take());
        let Self { place, before, terms, .. } = *self;
        *self = Self { older, ..Self::fresh(place, before.wrapping_add(1), token, terms) };
    }
}

/// A packet of the connection with these keys.
fn sealed(packet: Unsealed, keys: &ConnectionKeys, header: RequestHeader) -> Packet {
    let bytes = packet.seal(&Seal::new(keys, Direction::Up), Nonce::new([1; 24]));
    let head = *bytes.first_chunk().expect("a packet has a head");
    Packet { bytes, asked: Some(Asked::Exchange(Box::new(keys.clone()), head, header)), changed: false }
}

fn datagram(decide: &mut FromBytes<'_>, stream: StreamNumber) -> Frame {
    Frame::Datagram { stream, bytes: vec![3; decide.any([20, 0, 1_000, 65_535])].into() }
}

/// An older exchange, or one that it must not be.
fn resent(decide: &mut FromBytes<'_>, exchange: ExchangeNumber) -> ExchangeNumber {
    let exchange = exchange.get();
    ExchangeNumber::new(match decide.one_of(64) {
        62 => exchange.saturating_sub(FAR),
        63 => exchange,
        back => exchange.saturating_sub(1 + u64::from(back % 6)),
    })
}

/// A frame that only goes down.
fn only_down(decide: &mut FromBytes<'_>, stream: StreamNumber) -> Frame {
    match decide.one_of(4) {
        0 => Frame::Gone { stream },
        2 => Frame::End { code: EndCode::Stop, text: "".into() },
        1 => Frame::Opened { stream },
        _ => Frame::Backlog { bytes: 1 },
    }
}
