//! A client of level 2 by hand: packets made one at a time, and their answers opened.

use std::time::Duration;

use bytes::Bytes;
use seqlane::Secret;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::{self, ClientId, Epoch, RequestHeader, ResponseHeader, ResponseRoom, Unsealed};
use seqlane::wire::seal::{Nonces, Seal};

/// The type that packets travel under.
pub const PACKET: (&str, &str) = ("content-type", "application/octet-stream");

/// A client that never repairs anything.
#[derive(Debug)]
pub struct Hand {
    client: ClientId,
    epoch: Option<Epoch>,
    next: ExchangeNumber,
    up: Seal,
    down: Seal,
    nonces: Nonces,
}

impl Hand {
    /// A client with this secret; another number is another client.
    pub fn new(secret: &str, number: u8) -> Self {
        let secret = Secret::new(secret);
        Self {
            client: ClientId([number; 16]),
            epoch: None,
            next: ExchangeNumber::ZERO,
            up: Seal::new(&secret, Direction::Up),
            down: Seal::new(&secret, Direction::Down),
            nonces: Nonces::new([number; 32]),
        }
    }

    /// The next packet: a hello until one was answered.
    pub fn packet(&mut self, hold: Duration, frames: &[Frame]) -> Bytes {
        let header = RequestHeader {
            client: self.client,
            epoch: self.epoch,
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
        writer.seal(&self.up, self.nonces.next())
    }

    /// A packet that is answered at once: a hello, or an empty one.
    pub fn knock(&mut self) -> Bytes {
        self.packet(Duration::ZERO, &[])
    }

    /// The header of an answer; its epoch is used from now on.
    ///
    /// # Panics
    /// When it does not open, or is to another client.
    pub fn open(&mut self, answer: &Bytes) -> (ResponseHeader, Frames) {
        let plain = self.down.open(answer.clone()).expect("a packet under this seal");
        let (header, frames) = packet::decode_response(plain).expect("a response");
        assert_eq!(header.client, self.client);
        self.epoch = Some(header.epoch);
        (header, frames)
    }
}
