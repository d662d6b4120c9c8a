//! Random runs of level 2: exchanges are lost, doubled and delayed, and repaired.

use super::*;

/// A small generator, so that every run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What the client has of one stream.
#[derive(Default)]
struct Got {
    chunks: BTreeMap<u64, (Bytes, bool)>,
    opened: bool,
}

impl Got {
    fn next(&self) -> u64 {
        (0..).find(|seq| !self.chunks.contains_key(seq)).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        (0..self.next()).flat_map(|seq| self.chunks[&seq].0.to_vec()).collect()
    }
}

/// Plays one stream through `seed`'s faults: whatever happens to exchanges, each side gets what the other sent, once.
fn play(seed: u64) {
    let mut dice = Dice(seed);
    let mut pair = Pair::new();
    pair.terms.max_held = 3;
    pair.terms.confirm = [0, 800][dice.roll(2) as usize];
    let up: Vec<u8> = (0..40).map(|n| b'a' + n % 26).collect();
    let down: Vec<u8> = (0..3_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut sent_down, mut ended) = (0, false);
    let mut got = Got::default();
    let mut out: BTreeMap<u64, (RequestId, Vec<Frame>)> = BTreeMap::new();
    let mut lost: BTreeSet<u64> = BTreeSet::new();
    let mut carriers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut settled: BTreeSet<u64> = BTreeSet::new();
    let mut acked = 0;
    let mut upstream = None;
    let mut exchange = 0;
    for round in 0.. {
        assert!(round < 400, "seed {seed}: the stream does not finish");
        let calm = round > 200;
        // Every answer that came is used, or lost, or stays out for a while.
        for number in out.keys().copied().collect::<Vec<_>>() {
            let (request, frames) = out[&number].clone();
            if pair.rig.is_held(request) || dice.roll(3) == 0 {
                continue;
            }
            out.remove(&number);
            if !calm && dice.roll(4) == 0 {
                lost.insert(number);
                continue;
            }
            settled.insert(number);
            if !calm && dice.roll(5) == 0 {
                pair.ask(number, &frames); // a copy that nobody waits for
            }
            for named in carriers.remove(&number).unwrap_or_default() {
                lost.remove(&named);
                settled.insert(named);
            }
            for frame in pair.answer(request).frames {
                match frame {
                    Frame::Opened { .. } => got.opened = true,
                    Frame::Data { seq, fin, bytes, .. } => {
                        let old = got.chunks.insert(seq.number(), (bytes.clone(), fin));
                        assert!(old.is_none_or(|old| old == (bytes, fin)), "a chunk changed");
                    }
                    Frame::Ack { next, .. } => acked = acked.max(next.number()),
                    Frame::Window { .. } | Frame::Backlog { .. } => {}
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
        while settled.contains(&pair.terms.done) {
            pair.terms.done += 1;
        }
        // A request with everything that is not acknowledged, and a RESEND of everything that is lost.
        exchange = (exchange + 1).max(pair.terms.done);
        let mut frames = Vec::new();
        if !got.opened {
            frames.push(open(0));
        }
        frames.extend((acked..40).map(|seq| Frame::Data {
            stream: number(0),
            seq: Seq::new(seq),
            fin: seq == 39,
            bytes: Bytes::copy_from_slice(&up[seq as usize..=seq as usize]),
        }));
        frames.push(ack(0, got.next()));
        frames.extend(lost.iter().map(|number| resend(*number)));
        carriers.insert(exchange, lost.iter().copied().collect());
        if calm || dice.roll(5) > 0 {
            let request = pair.ask(exchange, &frames);
            out.insert(exchange, (request, frames));
        } else {
            lost.insert(exchange); // the request itself is lost
        }
        // The upstream lives its own life.
        if let Some(upstream) = upstream {
            let len = (dice.roll(300) as usize).min(down.len() - sent_down);
            if len > 0 {
                pair.rig.data(upstream, &down[sent_down..sent_down + len]);
                sent_down += len;
            } else if sent_down == down.len() && !ended {
                pair.rig.fin(upstream);
                ended = true;
            }
        } else if let Some((opened, ..)) = pair.rig.opens.first() {
            let opened = *opened;
            pair.rig.opened(opened);
            upstream = Some(opened);
        }
        pair.rig.run(dice.roll(3_000));
        if upstream.is_some_and(|upstream| pair.rig.ended.contains_key(&upstream)) && acked == 40 {
            break;
        }
    }
    let upstream = upstream.unwrap();
    assert_eq!(pair.rig.opens.len(), 1, "seed {seed}");
    assert_eq!(pair.rig.written(upstream), up, "seed {seed}");
    assert_eq!(got.bytes(), down, "seed {seed}");
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::Finished);
    assert!(pair.faults().is_empty(), "seed {seed}");
}

#[test]
fn a_stream_survives_whatever_happens_to_its_exchanges() {
    for seed in 0..60 {
        play(seed);
    }
}
