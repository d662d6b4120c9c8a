//! What holds for every packet of level 2.

use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::collection::vec as vec_of;
use proptest::option;
use proptest::prelude::*;

use super::seals::up;
use super::target;
use crate::Seq;
use crate::target::{FlowKind, Target};
use crate::wire::direction::Direction;
use crate::wire::frame::{DataHead, Frame, MAX_CHUNK, MAX_DATA_OVERHEAD};
use crate::wire::frame_type::FrameType;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::*;
use crate::wire::reset::ResetCode;
use crate::wire::seal::{HEAD_LEN, Nonce};
use crate::wire::{PacketError, varint};

/// Any value of the wire, small ones as often as those of each length.
fn value() -> impl Strategy<Value = u64> {
    (0..=varint::MAX, 0_u32..62).prop_map(|(value, shift)| value >> shift)
}

fn stream() -> impl Strategy<Value = StreamNumber> {
    value().prop_map(StreamNumber::new)
}

fn seq() -> impl Strategy<Value = Seq> {
    value().prop_map(Seq::new)
}

fn exchange() -> impl Strategy<Value = ExchangeNumber> {
    value().prop_map(ExchangeNumber::new)
}

fn millis() -> impl Strategy<Value = Duration> {
    value().prop_map(Duration::from_millis)
}

fn payload(least: usize) -> impl Strategy<Value = Bytes> {
    vec_of(any::<u8>(), least..300).prop_map(Bytes::from)
}

fn place() -> impl Strategy<Value = Target> {
    ("\\PC{1,60}", 1_u16..).prop_map(|(host, port)| target(&host, port))
}

fn code() -> impl Strategy<Value = ResetCode> {
    prop::sample::select(ResetCode::TABLE.to_vec()).prop_map(|(code, _)| code)
}

fn frame(way: Direction) -> BoxedStrategy<Frame> {
    let kind = prop_oneof![Just(FlowKind::Tcp), Just(FlowKind::Udp)];
    let data = prop_oneof![
        (any::<bool>(), payload(1)),
        Just((true, Bytes::new())), // the end alone
    ];
    let both = prop_oneof![
        (stream(), seq(), data).prop_map(|(stream, seq, (fin, bytes))| Frame::Data {
            stream,
            seq,
            fin,
            bytes
        }),
        (stream(), seq()).prop_map(|(stream, next)| Frame::Ack { stream, next }),
        (stream(), value()).prop_map(|(stream, limit)| Frame::Window { stream, limit }),
        (stream(), code()).prop_map(|(stream, code)| Frame::Reset { stream, code }),
        (stream(), payload(0)).prop_map(|(stream, bytes)| Frame::Datagram { stream, bytes }),
    ];
    match way {
        Direction::Up => prop_oneof![
            5 => both,
            1 => (stream(), kind, value(), place())
                .prop_map(|(stream, kind, window, target)| Frame::Open { stream, kind, window, target }),
            1 => exchange().prop_map(|exchange| Frame::Resend { exchange }),
        ]
        .boxed(),
        Direction::Down => prop_oneof![
            5 => both,
            1 => stream().prop_map(|stream| Frame::Opened { stream }),
            1 => value().prop_map(|bytes| Frame::Backlog { bytes }),
            1 => stream().prop_map(|stream| Frame::Gone { stream }),
        ]
        .boxed(),
    }
}

fn request_header() -> impl Strategy<Value = RequestHeader> {
    let max_response = prop_oneof![
        Just(ResponseRoom::HeaderOnly),
        (MIN_RESPONSE..=varint::MAX).prop_map(ResponseRoom::Bytes),
    ];
    let numbers = (exchange(), exchange());
    let confirm = option::of((1..=varint::MAX).prop_map(Duration::from_millis));
    (numbers, millis(), any::<u32>(), max_response, value(), confirm).prop_map(
        |((a, b), hold, max_held, max_response, total, confirm)| RequestHeader {
            exchange: a.max(b),
            done: a.min(b),
            hold,
            max_held,
            max_response,
            total,
            confirm,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Missing),
        Just(Status::Held),
        any::<u32>().prop_map(|size| Status::Answered { size }),
    ]
}

fn response_header() -> impl Strategy<Value = ResponseHeader> {
    let flags = any::<[bool; 2]>().prop_map(|[draining, blocked]| Flags { draining, blocked });
    let numbers = (exchange(), value(), exchange());
    (numbers, vec_of(status(), 0..40), millis(), flags).prop_map(
        |((exchange, answer, seen), mut statuses, held, flags)| {
            statuses.truncate(usize::try_from(seen.get()).unwrap().saturating_add(1));
            ResponseHeader { exchange, answer: AnswerNumber::new(answer), seen, statuses, held, flags }
        },
    )
}

pub(super) fn requesting() -> RequestHeader {
    RequestHeader {
        exchange: ExchangeNumber::ZERO,
        done: ExchangeNumber::ZERO,
        hold: Duration::ZERO,
        max_held: 1,
        max_response: ResponseRoom::HeaderOnly,
        total: 0,
        confirm: None,
    }
}

pub(super) fn answering() -> ResponseHeader {
    ResponseHeader {
        exchange: ExchangeNumber::ZERO,
        answer: AnswerNumber::ZERO,
        seen: ExchangeNumber::new(4),
        statuses: vec![Status::Held, Status::Missing, Status::Answered { size: 7 }],
        held: Duration::from_millis(1_234),
        flags: Flags::default(),
    }
}

pub(super) fn plain(writer: Unsealed) -> Bytes {
    Bytes::copy_from_slice(writer.plaintext())
}

pub(super) fn request(header: &RequestHeader, frames: &[Frame]) -> Bytes {
    let mut writer = Unsealed::request(header, 0);
    frames.iter().for_each(|frame| writer.push(frame));
    plain(writer)
}

pub(super) fn response(header: &ResponseHeader, frames: &[Frame]) -> Bytes {
    let mut writer = Unsealed::response(header, 0);
    frames.iter().for_each(|frame| writer.push(frame));
    plain(writer)
}

proptest! {
    #[test]
    fn a_request_survives(
        header in request_header(),
        frames in vec_of(frame(Direction::Up), 0..12),
    ) {
        let (read, rest) = decode_request(request(&header, &frames)).unwrap();
        prop_assert_eq!(read, header);
        prop_assert_eq!(rest.collect::<Vec<_>>(), frames);
    }

    #[test]
    fn a_response_survives(
        header in response_header(),
        frames in vec_of(frame(Direction::Down), 0..12),
    ) {
        let (read, rest) = decode_response(response(&header, &frames)).unwrap();
        prop_assert_eq!(read, header);
        prop_assert_eq!(rest.collect::<Vec<_>>(), frames);
    }

    #[test]
    fn a_frame_has_the_foretold_length(up in frame(Direction::Up), down in frame(Direction::Down)) {
        let head = request(&requesting(), &[]).len();
        prop_assert_eq!(request(&requesting(), core::slice::from_ref(&up)).len(), head + up.encoded_len());
        let head = response(&answering(), &[]).len();
        prop_assert_eq!(response(&answering(), core::slice::from_ref(&down)).len(), head + down.encoded_len());
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in vec_of(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let requested = decode_request(bytes.clone()).map(|(_, frames)| frames.count());
        prop_assert!(requested.unwrap_or_default() <= bytes.len() / 2);
        let answered = decode_response(bytes.clone()).map(|(_, frames)| frames.count());
        prop_assert!(answered.unwrap_or_default() <= bytes.len() / 2);
    }

    #[test]
    fn a_packet_with_bytes_changed_is_a_packet_or_an_error(
        header in response_header(),
        frames in vec_of(frame(Direction::Down), 0..6),
        changes in vec_of((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut packet = response(&header, &frames).to_vec();
        for (place, byte) in changes {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        if let Ok((header, frames)) = decode_response(packet.into()) {
            // What was read can be written, and is read as the same again.
            let frames: Vec<_> = frames.collect();
            let (again, rest) = decode_response(response(&header, &frames)).unwrap();
            prop_assert_eq!(again, header);
            prop_assert_eq!(rest.collect::<Vec<_>>(), frames);
        }
    }

    #[test]
    fn a_packet_that_ends_early_has_fewer_frames_or_is_an_error(
        frames in vec_of(frame(Direction::Up), 1..6),
    ) {
        let packet = request(&requesting(), &frames);
        let ends: Vec<usize> = (0..=frames.len()).map(|n| request(&requesting(), &frames[..n]).len()).collect();
        for cut in 0..packet.len() {
            let read = decode_request(packet.slice(..cut));
            match ends.iter().position(|end| *end == cut) {
                Some(whole) => prop_assert_eq!(read.unwrap().1.collect::<Vec<_>>(), &frames[..whole]),
                None => prop_assert!(matches!(read.unwrap_err(), PacketError::Truncated(_))),
            }
        }
    }
}

#[test]
fn payloads_are_slices_of_their_packet() {
    let bytes = Bytes::from(vec![7; MAX_CHUNK]);
    let frame = Frame::Data { stream: StreamNumber::ZERO, seq: Seq::ZERO, fin: false, bytes };
    let packet = request(&requesting(), &[frame]);
    let inside = packet.as_ptr_range();
    let (_, mut frames) = decode_request(packet).unwrap();
    let Some(Frame::Data { bytes, .. }) = frames.next() else { panic!("no chunk") };
    assert!(inside.contains(&bytes.as_ptr()));
}

#[test]
fn an_empty_payload_pins_nothing() {
    let end = Frame::Data { stream: StreamNumber::ZERO, seq: Seq::ZERO, fin: true, bytes: Bytes::new() };
    let packet = request(&requesting(), &[end]);
    let (_, mut frames) = decode_request(packet.clone()).unwrap();
    let kept = frames.next();
    drop(frames);
    assert!(packet.is_unique());
    assert!(kept.is_some());
}

#[test]
fn a_chunk_in_pieces_is_written_as_one() {
    let head = DataHead { stream: StreamNumber::new(3), seq: Seq::new(9), fin: true };
    let mut writer = Unsealed::request(&requesting(), 0);
    writer.push_data(head, 8, [&b"in "[..], b"", b"parts"].into_iter());
    let whole = Frame::Data { stream: head.stream, seq: head.seq, fin: true, bytes: Bytes::from("in parts") };
    assert_eq!(plain(writer), request(&requesting(), &[whole]));
}

#[test]
fn a_packet_of_the_foretold_capacity_is_allocated_once() {
    let bytes = Bytes::from(vec![7; 5_000]);
    let frame = Frame::Data { stream: StreamNumber::ZERO, seq: Seq::ZERO, fin: false, bytes };
    let mut writer = Unsealed::request(&requesting(), 0);
    writer.push(&frame);
    let len = writer.sealed_len();
    let mut packet = Unsealed::request(&requesting(), len);
    packet.push(&frame);
    let (room, place) = (packet.out().capacity(), packet.out().as_ptr());
    assert_eq!(room, len);
    let packet = packet.seal(&up(), Nonce::new([0; 24]));
    assert_eq!((packet.len(), packet.as_ptr()), (len, place));
}

#[test]
fn the_largest_chunk_fits_the_smallest_response() {
    let largest = ResponseHeader {
        exchange: ExchangeNumber::new(varint::MAX),
        answer: AnswerNumber::new(varint::MAX),
        seen: ExchangeNumber::new(varint::MAX),
        statuses: vec![Status::Answered { size: 200 }; 1_800],
        held: Duration::from_millis(varint::MAX),
        ..answering()
    };
    let chunk = Frame::Data {
        stream: StreamNumber::new(varint::MAX),
        seq: Seq::new(varint::MAX),
        fin: true,
        bytes: Bytes::from(vec![0; MAX_CHUNK]),
    };
    assert!(chunk.encoded_len() <= MAX_CHUNK + MAX_DATA_OVERHEAD);
    let mut writer = Unsealed::response(&largest, 0);
    writer.push(&chunk);
    assert!(writer.sealed_len() as u64 <= MIN_RESPONSE);
}

#[test]
fn every_frame_type_has_a_number_of_its_own() {
    let mut numbers: Vec<u64> = FrameType::TABLE.iter().map(|(kind, ..)| kind.number()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 19]);
}

#[test]
fn statuses_end_with_the_highest_exchange_seen() {
    let read: Vec<_> = answering().statuses().map(|(exchange, status)| (exchange.get(), status)).collect();
    assert_eq!(read, [(2, Status::Held), (3, Status::Missing), (4, Status::Answered { size: 7 })]);
}

#[test]
fn sizes_of_answers_are_told_in_units_of_64_kib() {
    for (bytes, size) in [(0, 0), (65_535, 0), (65_536, 1), (16 << 20, 256)] {
        assert_eq!(Status::answered(bytes), Status::Answered { size });
    }
}

#[test]
fn debug_shows_no_payload_and_no_key() {
    let bytes = Bytes::from("sesame");
    let data =
        Frame::Data { stream: StreamNumber::new(4), seq: Seq::new(2), fin: true, bytes: bytes.clone() };
    assert_eq!(format!("{data:?}"), "DATA 4 seq 2, 6 bytes, fin");
    let datagram = Frame::Datagram { stream: StreamNumber::new(4), bytes };
    assert_eq!(format!("{datagram:?}"), "DATAGRAM 4 6 bytes");
    let mut writer = Unsealed::request(&requesting(), 0);
    writer.push(&data);
    assert_eq!(format!("{writer:?}"), format!("Unsealed({} bytes)", writer.plaintext().len() + HEAD_LEN));
    assert_eq!(format!("{:?}", up()), "Seal(..)");
}

#[test]
fn padding_is_no_frame_and_pins_nothing_beside_the_frames() {
    let end = Frame::Ack { stream: StreamNumber::new(1), next: Seq::new(2) };
    let whole = request(&requesting(), core::slice::from_ref(&end));
    for zeros in [0, 1, 2, 71] {
        let padded = [&whole[..], &vec![0; zeros]].concat();
        let (_, frames) = decode_request(padded.into()).unwrap();
        assert_eq!(frames.packet(), whole);
        assert_eq!(frames.collect::<Vec<_>>(), core::slice::from_ref(&end));
    }
}

#[test]
fn packets_below_4_kib_have_one_of_six_lengths() {
    let table =
        [(0, 128), (60, 128), (71, 128), (72, 256), (199, 256), (200, 512), (4_039, 4_096), (4_040, 4_097)];
    for (plain, sealed) in table {
        let packet = Unsealed::of(&vec![7; plain]);
        assert_eq!(packet.sealed_len(), sealed, "{plain} bytes");
        assert_eq!(packet.seal(&up(), Nonce::new([0; 24])).len(), sealed);
    }
}
