//! Both halves, joined by exchanges that are lost, late, doubled and reordered, against bytes that are known.

use alloc::vec::Vec;

use bytes::Bytes;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{exchange, next};
use crate::Seq;
use crate::connection::stream::recv::{RecvHalf, RecvState};
use crate::connection::stream::send::{SendHalf, SendState};
use crate::wire::number::ExchangeNumber;

#[derive(Clone, Debug)]
enum Step {
    /// The application writes.
    Write(usize),
    /// It writes no more.
    Finish,
    /// Up to so many chunks of up to so many bytes go into a new exchange.
    Send { chunks: usize, room: usize },
    /// An exchange arrives: perhaps late, perhaps again.
    Arrive(Index),
    /// The sender calls an exchange late, rightly or wrongly.
    Late(Index),
    /// The sender hears that an exchange has arrived, if it has.
    Known(Index),
    /// The receiver's application takes bytes.
    Take(usize),
    /// The receiver reports, in a new exchange of its own.
    Report,
    /// A report arrives: perhaps late, perhaps again.
    ReportArrives(Index),
    /// The receiver calls a report lost, rightly or wrongly.
    ReportLate(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>();
    prop_oneof![
        4 => (0..40_usize).prop_map(Step::Write),
        1 => Just(Step::Finish),
        6 => (1..5_usize, 1..30_usize).prop_map(|(chunks, room)| Step::Send { chunks, room }),
        6 => index.clone().prop_map(Step::Arrive),
        2 => index.clone().prop_map(Step::Late),
        2 => index.clone().prop_map(Step::Known),
        4 => (0..60_usize).prop_map(Step::Take),
        4 => Just(Step::Report),
        4 => index.clone().prop_map(Step::ReportArrives),
        1 => index.prop_map(Step::ReportLate),
    ]
}

/// Chunks that went together.
struct Sending {
    number: ExchangeNumber,
    chunks: Vec<super::Sent>,
    arrived: bool,
}

struct Report {
    number: ExchangeNumber,
    next: Option<Seq>,
    limit: Option<u64>,
}

struct Joined {
    sender: SendHalf,
    receiver: RecvHalf,
    window: u64,
    written: Vec<u8>,
    delivered: Vec<u8>,
    ends: usize,
    sendings: Vec<Sending>,
    reports: Vec<Report>,
}

impl Joined {
    fn new(window: u64) -> Self {
        Self {
            sender: SendHalf::new(window),
            receiver: RecvHalf::new(window),
            window,
            written: Vec::new(),
            delivered: Vec::new(),
            ends: 0,
            sendings: Vec::new(),
            reports: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(len) => self.write(*len),
            Step::Finish => drop(self.sender.finish()), // a second one is misuse, and changes nothing
            Step::Send { chunks, room } => self.send(*chunks, *room),
            Step::Arrive(index) => self.arrive(index.index(self.sendings.len().max(1))),
            Step::Late(index) => self.late(index.index(self.sendings.len().max(1))),
            Step::Known(index) => self.known(index.index(self.sendings.len().max(1))),
            Step::Take(most) => self.take(*most),
            Step::Report => self.report(),
            Step::ReportArrives(index) => self.report_arrives(index.index(self.reports.len().max(1))),
            Step::ReportLate(index) => {
                if let Some(report) = self.reports.get(index.index(self.reports.len().max(1))) {
                    self.receiver.lost(report.number);
                }
            }
        }
        self.check();
    }

    fn write(&mut self, len: usize) {
        if self.sender.state() == SendState::Open {
            let start = self.written.len();
            let new: Vec<u8> = (start..start + len).map(|place| (place * 31 % 251) as u8).collect();
            self.written.extend_from_slice(&new);
            self.sender.write(Bytes::from(new)).unwrap();
        }
    }

    fn send(&mut self, chunks: usize, room: usize) {
        let number = self.sendings.len() as u64;
        let mut carried = Vec::new();
        for _ in 0..chunks {
            let (ready, len) = (self.sender.is_ready(), self.sender.next_len());
            match next(&mut self.sender, number, room) {
                Some(chunk) => {
                    assert!(ready, "a chunk came unforetold");
                    assert_eq!(chunk.bytes.len(), len.min(room));
                    carried.push(chunk);
                }
                None => {
                    assert!(!ready || len > room, "a chunk was foretold and did not come");
                    break;
                }
            }
        }
        self.sendings.push(Sending { number: exchange(number), chunks: carried, arrived: false });
    }

    fn arrive(&mut self, index: usize) {
        let Some(sending) = self.sendings.get_mut(index) else { return };
        sending.arrived = true;
        for chunk in &sending.chunks {
            self.receiver.receive(Seq::new(chunk.seq), chunk.fin, chunk.bytes.clone()).unwrap();
        }
        while let Some(delivery) = self.receiver.deliver() {
            assert_eq!(self.ends, 0, "nothing comes behind the end");
            self.delivered.extend_from_slice(&delivery.bytes);
            self.ends += usize::from(delivery.fin);
        }
    }

    fn late(&mut self, index: usize) {
        let Some(sending) = self.sendings.get(index) else { return };
        for chunk in &sending.chunks {
            self.sender.lost(Seq::new(chunk.seq), sending.number);
        }
    }

    fn known(&mut self, index: usize) {
        let Some(sending) = self.sendings.get(index).filter(|sending| sending.arrived) else { return };
        for chunk in &sending.chunks {
            self.sender.acked(Seq::new(chunk.seq));
        }
    }

    fn take(&mut self, most: usize) {
        self.receiver.take(most.min(self.receiver.untaken())).unwrap();
    }

    fn report(&mut self) {
        let number = exchange(self.reports.len() as u64);
        let next = self.receiver.is_ack_due().then(|| self.receiver.put_ack(number));
        let limit = self.receiver.is_window_due().then(|| self.receiver.put_window(number));
        self.reports.push(Report { number, next, limit });
    }

    fn report_arrives(&mut self, index: usize) {
        let Some(report) = self.reports.get(index) else { return };
        if let Some(limit) = report.limit {
            self.sender.window(limit);
        }
        if let Some(next) = report.next {
            self.sender.acknowledge(next).unwrap();
        }
    }

    fn check(&self) {
        self.sender.assert_consistent();
        assert!(self.written.starts_with(&self.delivered), "bytes are wrong, doubled or missing");
        let unread = self.receiver.waiting() + self.receiver.untaken();
        assert!(unread as u64 <= self.window, "the receiver keeps more than its window");
        let taken = self.delivered.len() - self.receiver.untaken();
        assert!(
            self.sender.buffered() >= self.written.len() - taken,
            "something was forgotten before it was taken"
        );
        assert!(self.sender.sendable() <= self.sender.buffered());
    }

    /// Nothing is lost any more. Gives the number of rounds until both halves have finished.
    fn heal(&mut self) -> usize {
        let _ = self.sender.finish();
        for round in 0..10_000 {
            if self.sender.state() == SendState::Finished
                && matches!(self.receiver.state(), RecvState::Finished(_))
            {
                return round;
            }
            for index in 0..self.sendings.len() {
                if self.sendings[index].arrived { self.known(index) } else { self.late(index) }
            }
            for report in &self.reports {
                self.receiver.lost(report.number);
            }
            self.send(1_000, 1_000);
            self.arrive(self.sendings.len() - 1);
            self.take(usize::MAX);
            self.report();
            self.report_arrives(self.reports.len() - 1);
            self.check();
        }
        panic!("the direction does not come to its end: {:?}, {:?}", self.sender, self.receiver);
    }
}

proptest! {
    #[test]
    fn every_byte_is_delivered_once_and_in_order_whatever_the_exchanges_do(
        window in 1..120_u64,
        steps in vec_of(step(), 0..120),
    ) {
        let mut joined = Joined::new(window);
        for step in &steps {
            joined.step(step);
        }
        let least = joined.written.len().div_ceil(usize::try_from(window).unwrap());
        let rounds = joined.heal();
        prop_assert!(rounds <= 4 * least + 4, "{rounds} rounds for {least} windows");
        prop_assert_eq!(&joined.delivered, &joined.written);
        prop_assert_eq!(joined.ends, 1);
        prop_assert_eq!(joined.sender.buffered(), 0);
    }
}
