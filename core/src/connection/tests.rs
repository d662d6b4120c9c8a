//! One connection, with the side of a client and the side of a node.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::connection::pending::Pending;
use crate::connection::stream::Stream;
use crate::connection::stream::Transport;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;
use crate::connection::{Connection, Filling, LastWord, Side};
use crate::credit::{Credit, Pool};
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::frame_type::FrameType;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{
    self, ClientId, Flags, Grants, RequestHeader, ResponseHeader, ResponseRoom, Unsealed,
};
use crate::wire::reset::ResetCode;

const NOW: Instant = Instant::from_micros(1_000_000);
const FIRST: StreamNumber = StreamNumber::ZERO;
const LIMIT: usize = 64 * 1024;
const GRANTS: Grants = Grants {
    uplink_window: 1 << 20,
    uplink_total: 1 << 20,
    downlink_total: 1 << 20,
    max_packet: 1 << 20,
    max_hold: Duration::from_secs(1),
    max_held: 4,
    max_streams: 4,
};

/// A socket at a client, or at a node.
#[derive(Clone, Debug)]
struct Plug<const CLIENT: bool>(Credit);

type AtClient = Connection<Plug<true>>;
type AtNode = Connection<Plug<false>>;

impl<const CLIENT: bool> Side for Plug<CLIENT> {
    const FILLING: Filling = Filling {
        opens_first: CLIENT,
        least_room: 32,
        least_cut: 1024,
        tail: 0,
        max_frames: 100,
        repeats: !CLIENT,
    };

    fn opening(&self, stream: StreamNumber, kind: FlowKind) -> Frame {
        let target = Target::new("host", 443).unwrap();
        if CLIENT { Frame::Open { stream, kind, window: 1, target } } else { Frame::Opened { stream } }
    }

    fn credit_mut(&mut self) -> &mut Credit {
        &mut self.0
    }
}

fn exchange(number: u64) -> ExchangeNumber {
    ExchangeNumber::new(number)
}

/// A connection with one stream, whose socket has said `text`.
fn connection<const CLIENT: bool>(text: &'static str) -> Connection<Plug<CLIENT>> {
    let mut connection = Connection::new(ClientId([1; 16]), GRANTS, 1 << 20);
    let mut send = SendHalf::new(1 << 20);
    send.write(Bytes::from(text)).unwrap();
    let transport = Transport::Tcp { send, recv: RecvHalf::new(1 << 20) };
    let opening = if CLIENT { Pending::Queued } else { Pending::Clear };
    connection.insert(FIRST, Stream::new(transport, opening, Plug(Credit::new(1 << 20)), NOW));
    connection.refresh(FIRST, NOW);
    connection
}

fn writer(client: bool) -> Unsealed {
    let zero = ExchangeNumber::ZERO;
    if client {
        let (hold, max_response) = (Duration::ZERO, ResponseRoom::HeaderOnly);
        let header = RequestHeader {
            exchange: zero,
            done: zero,
            hold,
            max_held: 1,
            max_response,
            total: 0,
            confirm: None,
        };
        Unsealed::request(&header, 0)
    } else {
        let header = ResponseHeader {
            exchange: zero,
            answer: AnswerNumber::ZERO,
            seen: zero,
            statuses: Vec::new(),
            held: Duration::ZERO,
            flags: Flags::default(),
        };
        Unsealed::response(&header, 0)
    }
}

/// Sends everything but bulk in exchange `by`; gives the types of the frames.
fn send<const CLIENT: bool>(
    connection: &mut Connection<Plug<CLIENT>>,
    by: u64,
    limit: usize,
) -> Vec<FrameType> {
    let mut pool = Pool::new(usize::MAX);
    let mut packet = Connection::<Plug<CLIENT>>::assemble(writer(CLIENT), exchange(by), limit, &mut pool);
    connection.fill_closing(&mut packet);
    connection.fill_sparse(&mut packet, NOW);
    connection.fill_acks(&mut packet, NOW);
    let packet = packet.finish();
    connection.on_sent(exchange(by), packet.frames, ExchangeNumber::ZERO);
    types(CLIENT, packet.writer)
}

fn types(client: bool, writer: Unsealed) -> Vec<FrameType> {
    let plain = Bytes::copy_from_slice(writer.plaintext());
    let frames = if client {
        packet::decode_request(plain).unwrap().1
    } else {
        packet::decode_response(plain).unwrap().1
    };
    frames.map(|frame| frame.kind()).collect()
}

#[test]
fn a_client_sends_open_before_data_until_it_is_acknowledged() {
    let mut client: AtClient = connection("one");
    assert_eq!(send(&mut client, 0, LIMIT), [FrameType::Open, FrameType::Data]);
    let more = |client: &mut AtClient| {
        client.stream_mut(FIRST).unwrap().send_half_mut().unwrap().write(Bytes::from("more")).unwrap();
        client.refresh(FIRST, NOW);
    };
    more(&mut client);
    assert_eq!(send(&mut client, 1, LIMIT), [FrameType::Open, FrameType::Data]);
    assert_eq!(client.unconfirmed(), 1);
    client.on_acked(exchange(0), NOW);
    assert_eq!(client.unconfirmed(), 0);
    more(&mut client);
    assert_eq!(send(&mut client, 2, LIMIT), [FrameType::Data]);
}

#[test]
fn no_frame_of_a_stream_is_sent_without_room_for_its_open() {
    let mut client: AtClient = connection("one");
    let header = writer(true).sealed_len();
    assert!(send(&mut client, 0, header + 40).is_empty());
    assert!(client.scheduler().is_prompt());
}

#[test]
fn what_a_lost_packet_carried_is_sent_again() {
    let mut client: AtClient = connection("one");
    send(&mut client, 0, LIMIT);
    assert!(!client.scheduler().is_prompt());
    client.declare_lost(exchange(0), NOW);
    assert_eq!(send(&mut client, 1, LIMIT), [FrameType::Open, FrameType::Data]);
}

#[test]
fn a_packet_that_was_declared_lost_may_still_be_acknowledged() {
    let mut client: AtClient = connection("one");
    send(&mut client, 0, LIMIT);
    client.declare_lost(exchange(0), NOW);
    client.on_acked(exchange(0), NOW);
    assert!(send(&mut client, 1, LIMIT).is_empty());
}

#[test]
fn frames_of_packets_below_the_oldest_are_forgotten() {
    let mut client: AtClient = connection("one");
    send(&mut client, 0, LIMIT);
    assert_eq!(client.frames_in_flight(), 2);
    client.on_sent(exchange(1), Vec::new(), exchange(1));
    assert_eq!(client.frames_in_flight(), 0);
}

#[test]
fn a_node_sends_opened_once_and_data_with_it() {
    let mut node: AtNode = connection("one");
    node.queue_opening(FIRST);
    node.refresh(FIRST, NOW);
    assert_eq!(send(&mut node, 0, LIMIT), [FrameType::Opened, FrameType::Data]);
    node.on_acked_below(exchange(1), NOW);
    assert_eq!((node.unconfirmed(), node.frames_in_flight()), (0, 0));
}

#[test]
fn another_packet_of_an_exchange_has_the_same_frames() {
    let mut node: AtNode = connection("one");
    node.queue_opening(FIRST);
    node.refresh(FIRST, NOW);
    let sent = send(&mut node, 0, LIMIT);
    let mut pool = Pool::new(usize::MAX);
    let mut packet = AtNode::assemble(writer(false), exchange(0), LIMIT, &mut pool);
    node.fill_again(&mut packet, NOW);
    assert_eq!(types(false, packet.finish().writer), sent);
}

#[test]
fn what_is_in_flight_is_repeated_until_it_is_acknowledged() {
    let mut node: AtNode = connection("one");
    send(&mut node, 0, LIMIT);
    assert!(node.needs_repeat(exchange(0)));
    let mut pool = Pool::new(usize::MAX);
    let mut packet = AtNode::assemble(writer(false), exchange(1), LIMIT, &mut pool);
    node.fill_repeat(exchange(0), &mut packet, NOW);
    let packet = packet.finish();
    assert_eq!((packet.again, packet.vital), (3, true));
    node.on_sent(exchange(1), packet.frames, ExchangeNumber::ZERO);
    assert!(!node.needs_repeat(exchange(0)), "it is in flight with another exchange");
    node.on_acked_below(exchange(2), NOW);
    assert!(!node.needs_repeat(exchange(1)));
}

#[test]
fn a_reset_is_sent_until_it_is_acknowledged() {
    let mut node: AtNode = connection("one");
    let mut pool = Pool::new(usize::MAX);
    node.remove(FIRST, LastWord::Reset(ResetCode::Aborted), &mut pool, NOW).unwrap();
    assert_eq!(send(&mut node, 0, LIMIT), [FrameType::Reset]);
    node.on_lost(exchange(0), NOW);
    assert_eq!(send(&mut node, 1, LIMIT), [FrameType::Reset]);
    node.on_acked_below(exchange(2), NOW);
    assert_eq!(node.closing_len(), 0);
}

#[test]
fn data_of_a_closing_stream_repeats_its_last_frame() {
    let mut node: AtNode = connection("one");
    let mut pool = Pool::new(usize::MAX);
    node.remove(FIRST, LastWord::Reset(ResetCode::Aborted), &mut pool, NOW).unwrap();
    send(&mut node, 0, LIMIT);
    assert!(node.on_stray_chunk(FIRST, NOW));
    assert_eq!(send(&mut node, 1, LIMIT), [FrameType::Reset]);
    assert!(!node.on_stray_chunk(FIRST.next(), NOW));
}

#[test]
fn an_ack_frees_the_credit_of_the_socket() {
    let mut node: AtNode = connection("one");
    send(&mut node, 0, LIMIT);
    let mut pool = Pool::new(usize::MAX);
    assert_eq!(node.on_ack(FIRST, Seq::new(1), &mut pool), Ok(Some(3)));
    assert_eq!(node.on_ack(FIRST.next(), Seq::new(1), &mut pool), Ok(None));
    assert!(node.on_ack(FIRST, Seq::new(9), &mut pool).is_err());
    assert_eq!(node.buffered(), 0);
}
