//! The test vectors of protocol.md 3.4: what is written there is what is written here.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::target;
use crate::error::ConnectFailure;
use crate::target::FlowKind;
use crate::wire::direction::Direction;
use crate::wire::frame::Frame;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::*;
use crate::wire::reset::ResetCode;
use crate::wire::seal::{self, Nonce, Seal};
use crate::{Secret, Seq};

const SECRET: &str = "correct horse battery staple";

fn counting<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|place| first + u8::try_from(place).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that the page has this value between these marks, whatever the line breaks.
fn assert_written(name: &str, bytes: &[u8], before: &str, after: &str) {
    let page: String = include_str!("../../../../docs/protocol.md").split_whitespace().collect();
    assert!(page.contains(&format!("{before}{}{after}", hex(bytes))), "{name} is {}", hex(bytes));
}

fn client() -> ClientId {
    ClientId(counting(0x10))
}

fn epoch() -> Epoch {
    Epoch(counting(0x80))
}

fn stream(number: u64) -> StreamNumber {
    StreamNumber::new(number)
}

fn hello() -> Unsealed {
    let header = RequestHeader {
        client: client(),
        epoch: None,
        exchange: ExchangeNumber::ZERO,
        done: ExchangeNumber::ZERO,
        hold: Duration::ZERO,
        max_held: 1,
        max_response: ResponseRoom::HeaderOnly,
        total: 64 << 20,
        confirm: None,
    };
    Unsealed::request(&header, 0)
}

fn hello_answer() -> Unsealed {
    let header = ResponseHeader {
        client: client(),
        epoch: epoch(),
        exchange: ExchangeNumber::ZERO,
        answer: AnswerNumber::ZERO,
        seen: ExchangeNumber::ZERO,
        statuses: vec![Status::answered(0)],
        held: Duration::ZERO,
        flags: Flags::default(),
        grants: Some(Grants {
            uplink_window: 1 << 20,
            uplink_total: 64 << 20,
            downlink_total: 128 << 20,
            max_packet: 16 << 20,
            max_hold: Duration::from_secs(50),
            max_held: 32,
            max_streams: 4096,
        }),
    };
    Unsealed::response(&header, 0)
}

fn request_frames() -> Vec<Frame> {
    vec![
        Frame::Open {
            stream: stream(0),
            kind: FlowKind::Tcp,
            window: 1 << 20,
            target: target("example.org", 443),
        },
        Frame::Data { stream: stream(0), seq: Seq::ZERO, fin: false, bytes: Bytes::from("GET /") },
        Frame::Open { stream: stream(1), kind: FlowKind::Udp, window: 0, target: target("2001:db8::53", 53) },
        Frame::Datagram { stream: stream(1), bytes: Bytes::from("query") },
        Frame::Resend { exchange: ExchangeNumber::new(4) },
    ]
}

fn request() -> Unsealed {
    let header = RequestHeader {
        client: client(),
        epoch: Some(epoch()),
        exchange: ExchangeNumber::new(5),
        done: ExchangeNumber::new(4),
        hold: Duration::from_secs(25),
        max_held: 2,
        max_response: ResponseRoom::Bytes(512 * 1024),
        total: 64 << 20,
        confirm: Some(Duration::from_millis(2_600)),
    };
    let mut writer = Unsealed::request(&header, 0);
    request_frames().iter().for_each(|frame| writer.push(frame));
    writer
}

fn response_frames() -> Vec<Frame> {
    vec![
        Frame::Opened { stream: stream(0) },
        Frame::Data {
            stream: stream(0),
            seq: Seq::ZERO,
            fin: true,
            bytes: Bytes::from("HTTP/1.1 204\r\n\r\n"),
        },
        Frame::Ack { stream: stream(0), next: Seq::new(1) },
        Frame::Window { stream: stream(0), limit: (1 << 20) + 5 },
        Frame::Reset { stream: stream(2), code: ResetCode::Connect(ConnectFailure::Refused) },
        Frame::Gone { stream: stream(70) },
        Frame::Backlog { bytes: 3 << 20 },
    ]
}

fn response() -> Unsealed {
    let header = ResponseHeader {
        client: client(),
        epoch: epoch(),
        exchange: ExchangeNumber::new(5),
        answer: AnswerNumber::new(9),
        seen: ExchangeNumber::new(7),
        statuses: vec![Status::answered(200_000), Status::answered(0), Status::Missing, Status::Held],
        held: Duration::from_millis(412),
        flags: Flags { blocked: true, ..Flags::default() },
        grants: None,
    };
    let mut writer = Unsealed::response(&header, 0);
    response_frames().iter().for_each(|frame| writer.push(frame));
    writer
}

#[test]
fn the_keys_are_those_of_the_page() {
    let secret = Secret::new(SECRET);
    assert_written("the key up", &seal::key(&secret, Direction::Up), "`", "`");
    assert_written("the key down", &seal::key(&secret, Direction::Down), "`", "`");
}

#[test]
fn the_packets_are_those_of_the_page() {
    let packets = [
        ("hello", hello(), Direction::Up, 0x40),
        ("the answer to hello", hello_answer(), Direction::Down, 0x60),
        ("request", request(), Direction::Up, 0xa0),
        ("response", response(), Direction::Down, 0xc0),
    ];
    for (name, packet, way, nonce) in packets {
        assert_written(&format!("the plaintext of {name}"), packet.plaintext(), "plaintext", "packet");
        let plaintext = Bytes::copy_from_slice(packet.plaintext());
        let seal = Seal::new(&Secret::new(SECRET), way);
        let packet = packet.seal(&seal, Nonce::new(counting(nonce)));
        assert_written(&format!("the packet of {name}"), &packet, "packet", "```");
        assert_eq!(seal.open(packet).unwrap(), plaintext);
    }
}

#[test]
fn the_frames_are_those_of_the_page() {
    for frame in request_frames().iter().chain(&response_frames()) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_written(&format!("{frame:?}"), &bytes, "`", "`");
    }
}

#[test]
fn the_packets_read_as_what_was_written() {
    let request = Bytes::copy_from_slice(request().plaintext());
    assert_eq!(decode_request(request).unwrap().1.collect::<Vec<_>>(), request_frames());
    let response = Bytes::copy_from_slice(response().plaintext());
    assert_eq!(decode_response(response).unwrap().1.collect::<Vec<_>>(), response_frames());
}
