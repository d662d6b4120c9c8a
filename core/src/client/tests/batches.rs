//! Tests of batches: their ops, the order of those, and the share of each flow.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::bench::*;
use crate::wire::{Op, ReplyParts};
use crate::{ClientOptions, FlowId, FlowKind};

/// A client whose relay has a place for every call of a test.
fn roomy() -> ClientOptions {
    let mut options = options(1);
    options.tuning.idle_exchanges = 1000;
    options.relays[0].max_concurrent = 1000;
    options
}

/// Writes while a payload is in flight, so that the writes gather, and gives the calls that they end up in.
fn gathered(bench: &mut Bench, writes: &[(FlowId, usize)]) -> Vec<Call> {
    let (first, _) = bench.sequenced("first");
    bench.write(first, "x");
    let first = bench.calls.drain(..).find(|call| !call.is_poll()).unwrap();
    for (flow, len) in writes {
        bench.write(*flow, vec![7; *len]);
    }
    assert!(bench.calls.iter().all(Call::is_poll), "writes gather while payload is in flight");
    bench.answer(&first, &[empty(first.op())]);
    bench.calls.drain(..).filter(|call| !call.is_poll()).collect()
}

/// Whose ops a call carries, and how many bytes each.
fn payloads(call: &Call) -> Vec<(String, usize)> {
    let payload = |op: &Op| match op {
        Op::Data { sid, payload, .. } => (sid.as_str().to_string(), payload.len()),
        other => panic!("a data op: {other:?}"),
    };
    call.ops.iter().map(payload).collect()
}

#[test]
fn writes_of_many_flows_go_in_batches_of_50_ops_and_each_reply_finds_its_flow() {
    let mut bench = Bench::new(roomy());
    let (flows, polls): (Vec<FlowId>, Vec<Call>) =
        (0..120).map(|n| bench.sequenced(&alloc::format!("s{n}"))).unzip();
    let writes: Vec<(FlowId, usize)> = flows.iter().map(|flow| (*flow, 10)).collect();
    let calls = gathered(&mut bench, &writes);
    assert_eq!(calls.iter().map(|call| call.ops.len()).collect::<Vec<_>>(), [50, 50, 20]);
    // Everything before the payload is answered, so that the payload's own reply is next.
    for poll in polls {
        bench.answer(&poll, &[empty(poll.op())]);
    }
    for call in calls.iter().rev() {
        let data: Vec<[Bytes; 1]> = payloads(call).into_iter().map(|(sid, _)| [Bytes::from(sid)]).collect();
        let replies: Vec<_> = call.ops.iter().zip(&data).map(|(op, data)| bringing(op, data)).collect();
        bench.answer(call, &replies);
    }
    for (n, flow) in flows.into_iter().enumerate() {
        assert_eq!(bench.delivered(flow), alloc::format!("s{n}").as_bytes());
    }
}

#[test]
fn opens_of_one_target_go_in_batches_of_50() {
    let mut bench = Bench::new(roomy());
    for _ in 0..120 {
        bench.client.open(bench.now, target(SERVER_FIRST), FlowKind::Tcp).unwrap();
    }
    bench.drain();
    assert_eq!(bench.calls.iter().map(|call| call.ops.len()).collect::<Vec<_>>(), [50, 50, 20]);
}

#[test]
fn small_writes_go_first_and_whole_and_bulk_shares_what_is_left() {
    let mut options = roomy();
    options.relays[0].max_body = 256 * 1024;
    let mut bench = Bench::new(options);
    let [a, b, small] = ["a", "b", "small"].map(|name| bench.sequenced(name).0);
    let calls = gathered(&mut bench, &[(a, 200_000), (b, 200_000), (small, 1_000)]);
    let first = payloads(&calls[0]);
    assert_eq!(first[0], ("small".to_string(), 1_000));
    assert_eq!(first.len(), 3, "nobody is left out: {first:?}");
    assert!(first[1].1.abs_diff(first[2].1) <= 64 * 1024, "{first:?}");
    assert!(calls.iter().all(|call| call.body_len <= 256 * 1024));
    let sent: usize = calls.iter().flat_map(payloads).map(|(_, len)| len).sum();
    assert_eq!(sent, 401_000);
}

#[test]
fn a_batch_carries_no_more_payload_than_configured_however_large_a_body_may_be() {
    let mut options = roomy();
    options.relays[0].max_body = 16 * 1024 * 1024;
    options.tuning.max_batch_payload = 300_000;
    options.tuning.max_op_payload = 200_000;
    let mut bench = Bench::new(options);
    let [a, b, c] = ["a", "b", "c"].map(|name| bench.sequenced(name).0);
    let calls = gathered(&mut bench, &[(a, 150_000), (b, 150_000), (c, 150_000)]);
    let carried = calls.iter().map(|call| payloads(call).iter().map(|(_, len)| len).sum::<usize>());
    let carried: Vec<usize> = carried.collect();
    assert!(carried.iter().all(|bytes| *bytes <= 300_000), "{carried:?}");
    assert_eq!(carried.iter().sum::<usize>(), 450_000);
}

#[test]
fn bulk_flows_get_the_same_in_the_long_run() {
    // Places at the relay are scarce, not places in the sessions.
    let mut options = options(1);
    options.relays[0].max_body = 128 * 1024;
    options.relays[0].max_concurrent = 8;
    let mut bench = Bench::new(options);
    let sessions = ["a", "b", "c"].map(|name| bench.sequenced(name));
    let flows = sessions.each_ref().map(|(flow, _)| *flow);
    for (_, poll) in sessions {
        bench.answer(&poll, &[empty(poll.op())]);
    }
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 {
        for flow in flows {
            // All of them before anything is sent: whoever writes alone goes alone.
            let credit = core::mem::take(bench.credit.get_mut(&flow).unwrap());
            let event = crate::LocalEvent::Data(vec![7; credit].into());
            bench.client.handle(bench.now, crate::ClientEvent::Local { flow, event }).unwrap();
        }
        bench.drain();
        // Less is answered than is written: every flow has something to send all the time.
        let answered = bench.calls.len().min(2);
        for call in bench.calls.drain(..answered).collect::<Vec<_>>() {
            for (sid, len) in payloads(&call) {
                *totals.entry(sid).or_default() += len;
            }
            bench.answer(&call, &call.ops.iter().map(empty).collect::<Vec<_>>());
        }
    }
    let (least, most) = (totals.values().min().unwrap(), totals.values().max().unwrap());
    assert!(*least > 2_000_000 && most - least <= 2 * 64 * 1024, "{totals:?}");
}

#[test]
fn opens_polls_and_payloads_of_one_moment_never_mix() {
    let mut bench = Bench::new(roomy());
    let (writer, poll) = bench.sequenced("writer");
    bench.client.open(bench.now, target(SERVER_FIRST), FlowKind::Tcp).unwrap();
    let event = crate::LocalEvent::Data(Bytes::from_static(b"x"));
    bench.client.handle(bench.now, crate::ClientEvent::Local { flow: writer, event }).unwrap();
    let udp = bench.client.open(bench.now, target(53), FlowKind::Udp).unwrap();
    let event = crate::LocalEvent::Data(Bytes::from_static(b"query"));
    bench.client.handle(bench.now, crate::ClientEvent::Local { flow: udp, event }).unwrap();
    let eof = ReplyParts { eof: Some(false), ..empty(poll.op()) };
    bench.answer(&poll, &[eof]);
    let kind = |op: &Op| match op {
        Op::Connect { .. } | Op::ConnectData { .. } | Op::UdpOpen { .. } => 'o',
        op if op.payload().is_some_and(Bytes::is_empty) => 'p',
        _ => 'd',
    };
    let kinds: Vec<Vec<char>> = bench.calls.iter().map(|call| call.ops.iter().map(kind).collect()).collect();
    for batch in &kinds {
        assert!(batch.iter().all(|kind| *kind == batch[0]), "{kinds:?}");
    }
    for kind in ['o', 'p', 'd'] {
        assert!(kinds.iter().any(|batch| batch[0] == kind), "{kinds:?}");
    }
}
