//! The vectors of protocol.md 3.7, and what must not open.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::Secret;
use crate::wire::direction::Direction;
use crate::wire::handshake::{
    AnswerPayload, ClientHello, ConnectionKeys, HelloPayload, NodeId, Notice, NoticeKind, ReceivedHello,
    SecretKeys, Token,
};
use crate::wire::packet::{ClientId, Grants, Unsealed, decode_request, decode_response};
use crate::wire::seal::{Nonce, Seal};

const SECRET: &str = "correct horse battery staple";

fn vectors() -> Value {
    serde_json::from_str(include_str!("handshake.json")).unwrap()
}

#[track_caller]
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn keys() -> SecretKeys {
    SecretKeys::new(&Secret::new(SECRET))
}

fn open() -> SecretKeys {
    SecretKeys::new(&Secret::new(""))
}

fn grants(answer: &Value) -> Grants {
    let number = |name: &str| answer[name].as_u64().unwrap();
    Grants {
        uplink_window: number("uplink_window"),
        uplink_total: number("uplink_total"),
        downlink_total: number("downlink_total"),
        max_packet: number("max_packet"),
        max_hold: Duration::from_millis(number("max_hold")),
        max_held: number("max_held").try_into().unwrap(),
        max_streams: number("max_streams").try_into().unwrap(),
    }
}

fn answer(vectors: &Value) -> AnswerPayload {
    AnswerPayload { node: NodeId(array(&vectors["answer"]["node"])), grants: grants(&vectors["answer"]) }
}

/// The hello of the vectors.
fn hello(vectors: &Value, keys: &SecretKeys) -> ClientHello {
    let client = keys.client_id(array(&vectors["id"]["r"]));
    let private = array(&vectors["ephemeral"]["client private"]);
    ClientHello::new(keys, client, private, HelloPayload { token: None })
}

#[track_caller]
fn assert_keys(keys: &ConnectionKeys, up: &Value, down: &Value) {
    assert_eq!(key(keys, Direction::Up), bytes(up));
    assert_eq!(key(keys, Direction::Down), bytes(down));
}

fn key(keys: &ConnectionKeys, way: Direction) -> Vec<u8> {
    keys.of(way).unwrap().to_vec()
}

/// Both ends of a handshake: the answer, and the keys that both have.
fn answered(
    keys: &SecretKeys,
    hello: &ClientHello,
    private: [u8; 32],
    payload: AnswerPayload,
) -> (Vec<u8>, ConnectionKeys) {
    let received = ReceivedHello::open(keys, &hello.packet()).unwrap();
    let (packet, node) = received.answer(private, payload).unwrap();
    let (read, client) = hello.read(&packet).unwrap();
    assert_eq!(read, payload);
    for way in [Direction::Up, Direction::Down] {
        assert_eq!(client.of(way), node.of(way));
    }
    (packet.to_vec(), node)
}

#[test]
fn the_ids_are_those_of_the_vectors() {
    let vectors = vectors();
    let random = array(&vectors["id"]["r"]);
    assert_eq!(keys().client_id(random), ClientId(array(&vectors["id"]["client id"])));
    assert_eq!(open().client_id(random), ClientId(array(&vectors["id"]["open client id"])));
    assert!(keys().fits(keys().client_id([7; 8])) && !keys().fits(open().client_id([7; 8])));
}

#[test]
fn hello_and_answer_are_those_of_the_vectors_and_so_are_the_keys_that_they_make() {
    let vectors = vectors();
    let hello = hello(&vectors, &keys());
    assert_eq!(hello.packet(), bytes(&vectors["hello"]["packet"]));
    let private = array(&vectors["ephemeral"]["node private"]);
    let (packet, made) = answered(&keys(), &hello, private, answer(&vectors));
    assert_eq!(packet, bytes(&vectors["answer"]["packet"]));
    assert_keys(&made, &vectors["connection keys"]["up"], &vectors["connection keys"]["down"]);
}

#[test]
fn a_hello_with_a_token_is_that_of_the_vectors() {
    let (vectors, keys) = (vectors(), keys());
    let with = &vectors["hello with a token"];
    let payload = HelloPayload { token: Some(Token(array(&with["token"]))) };
    let client = keys.client_id(array(&with["r"]));
    let hello = ClientHello::new(&keys, client, array(&with["client private"]), payload);
    assert_eq!(hello.packet(), bytes(&with["hello"]));
    let received = ReceivedHello::open(&keys, &hello.packet()).unwrap();
    assert_eq!(received.payload(), payload);
    let (packet, made) = answered(&keys, &hello, array(&with["node private"]), answer(&vectors));
    assert_eq!(packet, bytes(&with["answer"]));
    assert_keys(&made, &with["up"], &with["down"]);
}

#[test]
fn the_handshake_of_the_open_secret_is_that_of_the_vectors() {
    let vectors = vectors();
    let hello = hello(&vectors, &open());
    assert_eq!(hello.packet(), bytes(&vectors["open"]["hello"]));
    let private = array(&vectors["ephemeral"]["node private"]);
    let (packet, made) = answered(&open(), &hello, private, answer(&vectors));
    assert_eq!(packet, bytes(&vectors["open"]["answer"]));
    assert_keys(&made, &vectors["open"]["up"], &vectors["open"]["down"]);
}

#[test]
fn the_notices_are_those_of_the_vectors() {
    let vectors = vectors();
    let kinds = [
        ("unknown", NoticeKind::Unknown),
        ("busy", NoticeKind::Busy),
        ("draining", NoticeKind::Draining),
        ("not allowed", NoticeKind::NotAllowed),
    ];
    for (name, kind) in kinds {
        let written = &vectors["notices"][name];
        let request = match written["answers"].as_str().unwrap() {
            "hello" => bytes(&vectors["hello"]["packet"]),
            packet => bytes(&vectors["packets"][packet]["packet"]),
        };
        let token: [u8; 16] = array(&written["token"]);
        let notice = Notice {
            kind,
            node: NodeId(array(&vectors["answer"]["node"])),
            wait: Duration::from_millis(written["wait_ms"].as_u64().unwrap()),
            token: (token != [0; 16]).then_some(Token(token)),
            text: written["text"].as_str().unwrap().into(),
        };
        let (keys, head) = (keys(), request.first_chunk().unwrap());
        let sealed = notice.seal(keys.notice(), head, Nonce::new(array(&written["nonce"]))).unwrap();
        assert_eq!(sealed, bytes(&written["packet"]), "{name}");
        assert_eq!(Notice::open(keys.notice(), head, &sealed), Ok(notice), "{name}");
    }
}

/// Whether a `reader` accepts the packet of a case.
fn opens(vectors: &Value, reader: &str, packet: &[u8], case: &Value) -> bool {
    let keys = keys();
    match reader {
        "node" => {
            let client = packet.get(1..17).map(|id| ClientId(id.try_into().unwrap()));
            let opened = ReceivedHello::open(&keys, packet);
            let private = array(&vectors["ephemeral"]["node private"]);
            client.is_some_and(|client| keys.fits(client))
                && opened.is_ok_and(|hello| hello.answer(private, answer(vectors)).is_ok())
        }
        "client" => hello(vectors, &keys).read(packet).is_ok(),
        "client notice" => {
            let request = bytes(&case["request"]);
            Notice::open(keys.notice(), request.first_chunk().unwrap(), packet).is_ok()
        }
        "node up" => opens_as_packet(vectors, packet, Direction::Up),
        "client up" => opens_as_packet(vectors, packet, Direction::Down),
        _ => panic!("nobody reads as {reader}"),
    }
}

/// Whether a packet of the connection of the vectors opens, and can be read.
fn opens_as_packet(vectors: &Value, packet: &[u8], way: Direction) -> bool {
    let opened = seal(vectors, way).open(Bytes::copy_from_slice(packet));
    opened.is_ok_and(|plain| match way {
        Direction::Up => decode_request(plain).is_ok(),
        Direction::Down => decode_response(plain).is_ok(),
    })
}

fn seal(vectors: &Value, way: Direction) -> Seal {
    let client = ClientId(array(&vectors["id"]["client id"]));
    let made = &vectors["connection keys"];
    Seal::new(&ConnectionKeys::of_test(client, array(&made["up"]), array(&made["down"])), way)
}

#[test]
fn the_packets_are_those_of_the_vectors() {
    let vectors = vectors();
    let ways = [
        ("request", Direction::Up),
        ("response", Direction::Down),
        ("empty request that confirms", Direction::Up),
        ("goodbye", Direction::Up),
        ("answer to the goodbye", Direction::Down),
        ("end", Direction::Down),
    ];
    for (name, way) in ways {
        let written = &vectors["packets"][name];
        let plain = bytes(&written["plaintext"]);
        let again = match way {
            Direction::Up => {
                let (header, frames) = decode_request(plain.clone().into()).unwrap();
                let mut writer = Unsealed::request(&header, 0);
                frames.for_each(|frame| writer.push(&frame));
                writer
            }
            Direction::Down => {
                let (header, frames) = decode_response(plain.clone().into()).unwrap();
                let mut writer = Unsealed::response(&header, 0);
                frames.for_each(|frame| writer.push(&frame));
                writer
            }
        };
        assert_eq!(again.plaintext(), plain, "{name}");
        let seal = seal(&vectors, way);
        let packet = again.seal(&seal, Nonce::new(array(&written["nonce"])));
        assert_eq!(packet, bytes(&written["packet"]), "{name}");
        assert_eq!(seal.open(packet).unwrap()[..plain.len()], plain, "{name}");
    }
}

#[test]
fn what_must_fail_fails() {
    let vectors = vectors();
    for case in vectors["must fail"].as_array().unwrap() {
        let (name, reader) = (case["name"].as_str().unwrap(), case["reader"].as_str().unwrap());
        assert!(!opens(&vectors, reader, &bytes(&case["packet"]), case), "{name} opens");
    }
}

#[test]
fn a_hello_or_answer_with_any_bit_flipped_does_not_open() {
    let vectors = vectors();
    for (reader, packet) in [("node", &vectors["hello"]["packet"]), ("client", &vectors["answer"]["packet"])]
    {
        let packet = bytes(packet);
        assert!(opens(&vectors, reader, &packet, &Value::Null));
        // The highest bit of an X25519 key counts for nothing in the curve, and is hashed all the same.
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&vectors, reader, &flipped, &Value::Null), "{reader}, bit {bit}");
        }
    }
}

#[test]
fn an_independent_implementation_of_noise_makes_the_same_handshake() {
    let vectors = vectors();
    let keys = keys();
    let psk: [u8; 32] = array(&vectors["from the secret"]["psk"]);
    let prologue = bytes(&vectors["noise"]["prologue"]);
    let params: String = "Noise_NNpsk0_25519_ChaChaPoly_SHA256".into();
    let builder =
        || snow::Builder::new(params.parse().unwrap()).psk(0, &psk).unwrap().prologue(&prologue).unwrap();
    let hello = hello(&vectors, &keys);

    let mut node = builder().build_responder().unwrap();
    let mut payload = [0; 512];
    let len = node.read_message(&hello.packet()[17..], &mut payload).unwrap();
    assert_eq!(payload[..len], [0; 191]);
    let said = bytes(&vectors["answer"]["payload"]);
    let mut message = [0; 512];
    let len = node.write_message(&said, &mut message).unwrap();
    let packet: Vec<u8> = hello.packet()[..17].iter().chain(&message[..len]).copied().collect();
    let (read, made) = hello.read(&packet).unwrap();
    assert_eq!(read, answer(&vectors));
    let (up, down) = node.dangerously_get_raw_split();
    assert_eq!((key(&made, Direction::Up), key(&made, Direction::Down)), (up.to_vec(), down.to_vec()));
}
