use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Mask;

fn json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"\"k\":"[..]),
        Just(&b"\"d\":\"BA"[..]),
        Just(&b"\""[..]),
        Just(&b"\\"[..]),
        Just(&b"{\"ops\":["[..]),
        Just(&b"correct \\\"horse\\\"\\n"[..]),
        Just(&b" "[..]),
        Just(&b"A==\""[..]),
        Just(&b"\xff\x02"[..]),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// An event that can be read at all is, once covered, read as it is written.
fn settles<M: Machine<Event: PartialEq>>(bytes: &[u8], mask: &mut Mask) {
    let event = M::read_event(Bytes::copy_from_slice(bytes), mask);
    let mut again = |event: &M::Event| {
        let mut bytes = Vec::new();
        M::write_event(event, mask, &mut bytes);
        M::read_event(bytes.into(), mask).expect("it was written here")
    };
    if let Ok(event) = event {
        let masked = again(&event);
        assert_eq!(again(&masked), masked);
    }
}

proptest! {
    #[test]
    fn covering_keeps_every_length_and_covers_all_at_once(body in prop_oneof![json(), vec(any::<u8>(), 0..200)]) {
        let mask = Node::mask(&node_options());
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        mask.apply(&body, &mut once);
        prop_assert_eq!(once.len(), body.len());
        let replayed = Node::mask(&node(recorded::<Node>(&node_options(), &[])).options);
        replayed.apply(&once, &mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn bytes_that_nobody_wrote_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let (_, error) = read(&bytes);
        prop_assert!(error.is_some());
        settles::<Client>(&bytes, &mut Client::mask(&client_options()));
        settles::<Node>(&bytes, &mut Node::mask(&node_options()));
    }
}
