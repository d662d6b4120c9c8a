//! A client of level 2 by hand: packets made one at a time, and their answers opened.

use std::time::Duration;

use bytes::Bytes;
use seqlane::Secret;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::handshake::{ClientHello, HelloPayload, SecretKeys};
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::{self, RequestHeader, ResponseHeader, ResponseRoom, Unsealed};
use seqlane::wire::seal::{Nonces, Seal};

/// The type that packets travel under.
pub const PACKET: (&str, &str) = ("content-type", "application/octet-stream");

/// A client that never repairs anything.
#[derive(Debug)]
pub struct Hand {
    hello: ClientHello,
    /// The seals of its connection, up and down.
    connection: Option<[Seal; 2]>,
    next: ExchangeNumber,
    nonces: Nonces,
}

impl Hand {
    /// A client with this secret; another number is another client.
    pub fn new(secret: &str, number: u8) -> Self {
        let keys = SecretKeys::new(&Secret::new(secret));
        let client = keys.client_id([number; 8]);
        Self {
            hello: ClientHello::new(&keys, client, [number; 32], HelloPayload { token: None }),
            connection: None,
            next: ExchangeNumber::ZERO,
            nonces: Nonces::new([number; 32]),
        }
    }

    /// The hello, the same every time.
    pub fn hello(&self) -> Bytes {
        self.hello.packet()
    }

    /// Reads the answer to the hello: the client has a connection.
    ///
    /// # Panics
    /// When it does not open.
    pub fn greeted(&mut self, answer: &[u8]) {
        let (_, keys) = self.hello.read(answer).expect("the answer to the hello");
        self.connection = Some([Direction::Up, Direction::Down].map(|way| Seal::new(&keys, way)));
    }

    /// The next packet of the connection.
    ///
    /// # Panics
    /// When there is no connection.
    pub fn packet(&mut self, hold: Duration, frames: &[Frame]) -> Bytes {
        let [up, _] = self.connection.as_ref().expect("a connection");
        let header = RequestHeader {
            exchange: self.next,
            done: self.next,
            hold,
            max_held: 8,
            max_response: ResponseRoom::Bytes(1 << 20),
            total: 1 << 24,
            confirm: None,
        };
        self.next = self.next.next();
        let mut writer = Unsealed::request(&header, 4096);
        frames.iter().for_each(|frame| writer.push(frame));
        writer.seal(up, self.nonces.next())
    }

    /// A packet that is answered at once, with nothing in it.
    pub fn knock(&mut self) -> Bytes {
        self.packet(Duration::ZERO, &[])
    }

    /// What answers a packet.
    ///
    /// # Panics
    /// When it does not open.
    pub fn open(&mut self, answer: &Bytes) -> (ResponseHeader, Frames) {
        let [_, down] = self.connection.as_ref().expect("a connection");
        let plain = down.open(answer.clone()).expect("a packet under this seal");
        packet::decode_response(plain).expect("a response")
    }
}
