//! Clauses of the contract of [`Node`] at level 2.

use super::*;

fn event(upstream: UpstreamId, event: UpstreamEvent) -> NodeEvent {
    NodeEvent::Upstream { upstream, event }
}

#[test]
fn what_the_driver_does_wrong_is_misuse_and_changes_nothing() {
    let mut pair = Pair::new();
    pair.ask(1, &[open(0)]);
    let upstream = pair.rig.last_opened();
    let early = pair.rig.try_event(event(upstream, UpstreamEvent::Data("x".into())));
    assert_eq!(early, Err(Misuse::CreditExceeded));
    pair.rig.opened(upstream);
    let credit = pair.rig.credit[&upstream];
    let too_much = Bytes::from(alloc::vec![0; credit + 1]);
    for (wrong, misuse) in [
        (UpstreamEvent::Opened, Misuse::WrongKind),
        (UpstreamEvent::Data(too_much), Misuse::CreditExceeded),
        (UpstreamEvent::Datagram("x".into()), Misuse::WrongKind),
        (UpstreamEvent::Written(1), Misuse::WrittenTooMuch),
    ] {
        assert_eq!(pair.rig.try_event(event(upstream, wrong)), Err(misuse));
    }
    pair.rig.fin(upstream);
    for late in [UpstreamEvent::Data("x".into()), UpstreamEvent::Fin] {
        assert_eq!(pair.rig.try_event(event(upstream, late)), Err(Misuse::AfterFin));
    }
}

#[test]
fn events_of_a_stream_that_has_ended_are_ignored() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.ask(2, &[reset(0, ResetCode::Aborted)]);
    for late in [UpstreamEvent::Data("x".into()), UpstreamEvent::Fin, UpstreamEvent::Reset] {
        pair.rig.upstream(upstream, late);
    }
    assert_eq!(pair.rig.ended.len(), 1);
}

#[test]
fn every_wait_has_a_name() {
    let mut pair = Pair::new();
    let wait = |pair: &Pair| pair.rig.wake.map(|wake| wake.timer);
    assert_eq!(wait(&pair), Some(TimerKind::IdleClient));
    let upstream = pair.stream(0, 1);
    pair.terms.confirm = 1_000;
    pair.terms.max_held = 8;
    pair.ask(2, &[]);
    assert_eq!(wait(&pair), Some(TimerKind::Hold));
    pair.ask(3, &[chunk(0, 0, b"x")]);
    assert_eq!(wait(&pair), Some(TimerKind::AckDelay));
    pair.rig.data(upstream, b"x");
    assert_eq!(wait(&pair), Some(TimerKind::Settle));
    pair.rig.run(10);
    assert_eq!(wait(&pair), Some(TimerKind::Confirm));
}

#[test]
fn a_poll_takes_no_time_and_idle_comes_last() {
    let mut pair = Pair::new();
    pair.ask(1, &[open(0)]);
    let wake = pair.rig.wake;
    for _ in 0..3 {
        assert_eq!(pair.rig.node.poll(), NodeAction::Idle { wake });
    }
}

#[test]
fn the_same_events_make_the_same_answers_byte_for_byte() {
    let run = || {
        let mut pair = Pair::new();
        let upstream = pair.stream(0, 1);
        pair.rig.fill(upstream, 100_000);
        pair.terms.hold = 0;
        pair.ask(2, &[chunk(0, 0, b"x"), open(1)]);
        pair.ask(3, &[resend(2)]);
        pair.rig.run(1_000_000);
        pair.rig.responses
    };
    assert_eq!(run(), run());
}
