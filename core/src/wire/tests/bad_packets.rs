//! Packets that open and are wrong: they fail as a whole, with a reason.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::Bytes;

use super::packets::{answering, request, requesting, response};
use super::target;
use crate::error::ConnectFailure;
use crate::target::FlowKind;
use crate::wire::direction::Direction;
use crate::wire::end::EndCode;
use crate::wire::frame::{Frame, MAX_CHUNK, MAX_DATAGRAM};
use crate::wire::frame_type::FrameType;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::*;
use crate::wire::reset::ResetCode;
use crate::wire::{PacketError, varint};

/// A request with one frame, written by hand.
fn framed(kind: u64, fields: &[u8]) -> Bytes {
    let mut packet = request(&requesting(), &[]).to_vec();
    varint::encode(kind, &mut packet);
    varint::encode(fields.len() as u64, &mut packet);
    packet.extend_from_slice(fields);
    packet.into()
}

fn error(packet: Bytes) -> PacketError {
    decode_request(packet).unwrap_err()
}

#[test]
fn frames_in_the_wrong_direction_fail_the_packet() {
    let up = [
        Frame::Open {
            stream: StreamNumber::ZERO,
            kind: FlowKind::Tcp,
            window: 0,
            target: target("example.org", 80),
        },
        Frame::Resend { exchange: ExchangeNumber::ZERO },
    ];
    for frame in up {
        let kind = frame.kind();
        let failed = decode_response(response(&answering(), &[frame])).unwrap_err();
        assert_eq!(failed, PacketError::WrongWay(kind, Direction::Down));
    }
    let down = [
        Frame::Opened { stream: StreamNumber::ZERO },
        Frame::Backlog { bytes: 1 },
        Frame::Gone { stream: StreamNumber::ZERO },
    ];
    for frame in down {
        let kind = frame.kind();
        assert_eq!(error(request(&requesting(), &[frame])), PacketError::WrongWay(kind, Direction::Up));
    }
}

#[test]
fn unknown_frames_are_skipped_when_even_and_fatal_when_odd() {
    for kind in [6, 64, varint::MAX - 1] {
        let (_, frames) = decode_request(framed(kind, b"whatever")).unwrap();
        assert_eq!(frames.count(), 0);
    }
    for kind in [21, 65, varint::MAX] {
        assert_eq!(error(framed(kind, b"whatever")), PacketError::UnknownFrame(kind));
    }
}

#[test]
fn frames_behind_one_that_is_skipped_are_read() {
    let mut packet = framed(6, b"whatever").to_vec();
    packet.extend_from_slice(&[13, 1, 5]);
    let (_, frames) = decode_request(packet.into()).unwrap();
    assert_eq!(frames.collect::<Vec<_>>(), [Frame::Resend { exchange: ExchangeNumber::new(5) }]);
}

#[test]
fn a_frame_that_is_longer_than_its_fields_fails_the_packet() {
    assert_eq!(error(framed(13, &[5, 0])), PacketError::Trailing(FrameType::Resend));
    assert_eq!(error(framed(7, &[5, 0, 0])), PacketError::Trailing(FrameType::Ack));
}

#[test]
fn a_frame_that_is_shorter_than_its_fields_fails_the_packet() {
    assert_eq!(error(framed(7, &[5])), PacketError::Truncated("ACK's next"));
    assert_eq!(error(framed(5, &[5, 0])), PacketError::Truncated("DATA's fin"));
}

#[test]
fn values_that_a_field_cannot_have_fail_the_packet() {
    let cases: [(u64, &[u8], &str); 9] = [
        (1, b"\x00\x02\x00\x01a\x01", "OPEN's kind"),
        (1, b"\x00\x00\x00\x00\x01", "OPEN's target"),  // no host
        (1, b"\x00\x00\x00\x01a\x00", "OPEN's target"), // port 0
        (1, b"\x00\x00\x00\x01\xff\x01", "OPEN's host"), // not UTF-8
        (1, b"\x00\x00\x00\x41\x00a", "OPEN's host"),   // 256 bytes
        (1, b"\x00\x00\x00\x01a\x80\x01\x00\x00", "OPEN's port"),
        (5, b"\x00\x00\x02a", "DATA's fin"),
        (5, b"\x00\x00\x00", "DATA's bytes"), // neither bytes nor an end
        (5, &[0; MAX_CHUNK + 4], "DATA's bytes"),
    ];
    for (kind, fields, field) in cases {
        assert_eq!(error(framed(kind, fields)), PacketError::OutOfRange(field));
    }
    assert_eq!(error(framed(2, &[0; MAX_DATAGRAM + 2])), PacketError::OutOfRange("DATAGRAM's bytes"));
    assert!(decode_request(framed(2, &[0; MAX_DATAGRAM + 1])).is_ok());
}

#[test]
fn what_ends_a_connection_is_alone_in_its_packet() {
    let resend = Frame::Resend { exchange: ExchangeNumber::ZERO };
    let goodbye = PacketError::NotAlone(FrameType::Goodbye);
    assert_eq!(error(request(&requesting(), &[resend.clone(), Frame::Goodbye])), goodbye);
    assert_eq!(error(request(&requesting(), &[Frame::Goodbye, resend])), goodbye);
    assert_eq!(error(request(&requesting(), &[Frame::Goodbye, Frame::Goodbye])), goodbye);
    assert!(decode_request(request(&requesting(), &[Frame::Goodbye])).is_ok());
    let end = Frame::End { code: EndCode::Stop, text: "".into() };
    let both = decode_response(response(&answering(), &[Frame::Backlog { bytes: 1 }, end.clone()]));
    assert_eq!(both.unwrap_err(), PacketError::NotAlone(FrameType::End));
    assert!(decode_response(response(&answering(), &[end])).is_ok());
}

#[test]
fn padding_is_zeros_alone_and_type_0_has_one_form() {
    let whole = request(&requesting(), &[Frame::Resend { exchange: ExchangeNumber::ZERO }]);
    for padding in [&[0, 1][..], &[0, 0, 0, 9], &[0x40, 0], &[0x40, 0, 0, 0], &[0x80, 0, 0, 0]] {
        assert_eq!(error([&whole[..], padding].concat().into()), PacketError::Padding, "{padding:?}");
    }
}

#[test]
fn a_reason_that_is_not_known_counts_as_a_stop() {
    let mut packet = response(&answering(), &[]).to_vec();
    packet.extend([19, 2, 9, 0]);
    let (_, mut frames) = decode_response(packet.into()).unwrap();
    assert_eq!(frames.next(), Some(Frame::End { code: EndCode::Stop, text: "".into() }));
}

#[test]
fn a_request_cannot_be_done_with_itself() {
    let header = RequestHeader { done: ExchangeNumber::new(1), ..requesting() };
    assert_eq!(error(request(&header, &[])), PacketError::OutOfRange("done"));
}

#[test]
fn a_response_has_room_for_a_chunk_or_for_nothing() {
    assert_eq!(ResponseRoom::new(0), Some(ResponseRoom::HeaderOnly));
    assert_eq!(ResponseRoom::new(1), None);
    assert_eq!(ResponseRoom::new(MIN_RESPONSE - 1), None);
    assert_eq!(ResponseRoom::new(MIN_RESPONSE), Some(ResponseRoom::Bytes(69_632)));
    let header = RequestHeader { max_response: ResponseRoom::Bytes(1), ..requesting() };
    assert_eq!(error(request(&header, &[])), PacketError::OutOfRange("max_response"));
}

/// A response header up to its statuses, whose number is `count`.
fn with_count(seen: u64, count: u64, statuses: usize) -> Bytes {
    let mut packet = vec![];
    for value in [0, 0, seen, count] {
        varint::encode(value, &mut packet);
    }
    packet.resize(packet.len() + statuses + 2, 0);
    packet.into()
}

#[test]
fn the_number_of_statuses_is_bounded_before_room_is_made() {
    let most = MAX_STATUSES as u64;
    assert!(decode_response(with_count(varint::MAX, most, MAX_STATUSES)).is_ok());
    let count = PacketError::OutOfRange("the number of statuses");
    for wrong in [most + 1, varint::MAX] {
        assert_eq!(decode_response(with_count(varint::MAX, wrong, 0)).unwrap_err(), count);
    }
    assert_eq!(decode_response(with_count(2, 4, 4)).unwrap_err(), count, "more than there were exchanges");
    assert!(decode_response(with_count(2, 3, 3)).is_ok());
    let short = decode_response(with_count(varint::MAX, most, 10)).unwrap_err();
    assert_eq!(short, PacketError::Truncated("the statuses"));
}

#[test]
fn a_flag_that_is_not_known_fails_the_packet() {
    let mut packet = response(&answering(), &[]).to_vec();
    *packet.last_mut().unwrap() = 4;
    assert_eq!(decode_response(packet.into()).unwrap_err(), PacketError::OutOfRange("flags"));
}

#[test]
fn errors_say_what_and_where() {
    let texts: Vec<String> = [
        PacketError::Truncated("ACK's next"),
        PacketError::OutOfRange("done"),
        PacketError::Trailing(FrameType::Ack),
        PacketError::WrongWay(FrameType::Open, Direction::Down),
        PacketError::UnknownFrame(21),
        PacketError::Padding,
        PacketError::NotAlone(FrameType::End),
    ]
    .iter()
    .map(|error| format!("{error}"))
    .collect();
    assert_eq!(
        texts,
        [
            "the packet ends within ACK's next",
            "done is out of range",
            "a frame ACK is longer than its fields",
            "a frame OPEN does not go down",
            "frames of type 21 are unknown and not optional",
            "the padding is not all zeros",
            "a frame END is not alone in its packet",
        ]
    );
    let refused = ResetCode::Connect(ConnectFailure::Refused);
    assert_eq!(format!("{refused}"), "connection refused");
}
