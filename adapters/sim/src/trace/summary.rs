//! Summaries of bodies for people.

use std::fmt;

use bytes::Bytes;
use seqlane::BodyForm;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::handshake::{HANDSHAKE_LEN, HELLO, NOTICE};
use seqlane::wire::packet::{decode_request, decode_response};
use seqlane::wire::seal::{self, PACKET, Seal};
use seqlane::wire::{self, AnswerError, Limits, Op, Reply};
use serde::{Deserialize, Serialize};

/// The ops of a request, or the replies of an answer, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Opens, or replies that opened.
    pub opens: u16,
    /// Ops that carry bytes.
    pub writes: u16,
    /// Ops that carry nothing, or replies that brought nothing.
    pub polls: u16,
    /// Closes, or replies that say that the session has ended.
    pub ends: u16,
    /// Replies with an error.
    pub errors: u16,
    /// Bytes for the upstream, or from it.
    pub bytes: u64,
    /// The first place in a session that is named (level 1), or the client's number of the exchange (level 2).
    pub seq: Option<u64>,
    /// Answers that are asked for again (level 2).
    pub resends: u16,
    /// The stream and the number of its first chunk (level 2).
    #[serde(default)]
    pub chunk: Option<(u64, u64)>,
    /// Hellos, or answers that let a client in (level 2).
    #[serde(default)]
    pub hellos: u16,
}

const LIMITS: Limits = Limits { max_body: 256 << 20, max_ops: usize::MAX };

impl Summary {
    /// Of a request.
    pub fn of_request(form: BodyForm, body: &Bytes) -> Self {
        let mut summary = Self::default();
        if form == BodyForm::Packet {
            summary.add_request(body.clone());
            return summary;
        }
        let Ok(request) = wire::decode_request(body, LIMITS) else { return summary };
        for op in request.decode_ops().iter().flatten() {
            summary.add_op(op);
        }
        summary
    }

    /// Of an answer.
    pub fn of_answer(form: BodyForm, body: &Bytes) -> Self {
        let mut summary = Self::default();
        if form == BodyForm::Packet {
            summary.add_response(body.clone());
            return summary;
        }
        // How many replies there must be is known to those who sent the request.
        let replies = match wire::decode_answer(body, 0, LIMITS) {
            Err(AnswerError::WrongLength { got, .. }) => wire::decode_answer(body, got, LIMITS),
            other => other,
        };
        for reply in replies.iter().flatten() {
            summary.add_reply(reply);
        }
        summary
    }

    /// A packet of level 2, named by its exchange number, or a hello.
    fn add_request(&mut self, packet: Bytes) {
        if is_handshake(&packet, HELLO) {
            return self.hellos += 1;
        }
        let read = opened(packet, Direction::Up).and_then(|plain| decode_request(plain).ok());
        let Some((header, frames)) = read else { return self.errors += 1 };
        self.seq = Some(header.exchange.get());
        self.add_frames(frames);
    }

    fn add_response(&mut self, packet: Bytes) {
        if is_handshake(&packet, HELLO) {
            return self.hellos += 1;
        }
        // A notice is an error, too.
        let read = opened(packet, Direction::Down).and_then(|plain| decode_response(plain).ok());
        let Some((header, frames)) = read else { return self.errors += 1 };
        self.seq = Some(header.exchange.get());
        self.add_frames(frames);
    }

    fn add_frames(&mut self, frames: Frames) {
        for frame in frames {
            match frame {
                Frame::Open { .. } | Frame::Opened { .. } => self.opens += 1,
                Frame::Data { stream, seq, bytes, fin } => {
                    self.writes += 1;
                    self.chunk.get_or_insert((stream.get(), seq.number()));
                    self.bytes += bytes.len() as u64;
                    self.ends += u16::from(fin);
                }
                Frame::Datagram { bytes, .. } => {
                    self.writes += 1;
                    self.bytes += bytes.len() as u64;
                }
                Frame::Reset { .. } | Frame::Goodbye => self.ends += 1,
                Frame::Resend { .. } => self.resends += 1,
                Frame::Gone { .. } | Frame::End { .. } => self.errors += 1,
                Frame::Ack { .. } | Frame::Window { .. } | Frame::Backlog { .. } => {}
            }
        }
    }

    fn add_op(&mut self, op: &Op) {
        if let Op::Streams { packet } = op {
            return self.add_request(packet.clone());
        }
        let bytes = op.payload().map_or(0, |payload| payload.len() as u64);
        self.bytes += bytes;
        match op {
            Op::Connect { .. } | Op::ConnectData { .. } | Op::UdpOpen { .. } => self.opens += 1,
            Op::Data { .. } | Op::UdpData { .. } if bytes > 0 => self.writes += 1,
            Op::Data { .. } | Op::UdpData { .. } => self.polls += 1,
            Op::Close { .. } => self.ends += 1,
            Op::Streams { .. } => {}
        }
        if let Op::Data { seq: Some(seq), .. } = op {
            self.seq.get_or_insert(seq.number());
        }
    }

    fn add_reply(&mut self, reply: &Reply) {
        if is_packet(&reply.data) {
            return self.add_response(reply.data.clone());
        }
        let packets: usize = reply.packets.iter().map(Bytes::len).sum();
        let bytes = (reply.data.len() + packets) as u64;
        self.bytes += bytes;
        self.errors += u16::from(reply.error.is_some());
        self.opens += u16::from(reply.caps.is_some());
        self.ends += u16::from(reply.eof);
        self.polls += u16::from(bytes == 0 && reply.error.is_none() && reply.caps.is_none() && !reply.eof);
        if let Some(seq) = reply.seq {
            self.seq.get_or_insert(seq.number());
        }
    }

    fn words(self, [open, poll, end]: [&str; 3]) -> String {
        let times = |count: u16, word: &str| match count {
            0 => None,
            1 => Some(word.to_owned()),
            _ => Some(format!("{count} {word}s")),
        };
        let bytes = (self.bytes > 0).then(|| format!("{} B", self.bytes));
        let errors = (self.errors > 0).then(|| "error".to_owned());
        let (hello, again) = (times(self.hellos, "hello"), times(self.resends, "resend"));
        let (opens, polls, ends) = (times(self.opens, open), times(self.polls, poll), times(self.ends, end));
        let parts = [hello, opens, bytes, polls, ends, again, errors];
        let mut text = parts.into_iter().flatten().collect::<Vec<_>>().join(" + ");
        if let Some(seq) = self.seq {
            text += &format!(" #{seq}");
        }
        if text.is_empty() { "nothing".to_owned() } else { text }
    }

    /// As a request: `open + 16 B`, `poll #3`.
    pub fn asked(self) -> String {
        self.words(["open", "poll", "close"])
    }

    /// As an answer: `13 B + eof #3`.
    pub fn answered(self) -> String {
        self.words(["opened", "nothing", "eof"])
    }
}

/// Whether a reply brings a packet, or answers a hello: no payload of the simulator opens, or is as long.
fn is_packet(data: &Bytes) -> bool {
    let handshake = is_handshake(data, HELLO) || is_handshake(data, NOTICE);
    handshake || data.first() == Some(&PACKET) && opened(data.clone(), Direction::Down).is_some()
}

fn is_handshake(packet: &Bytes, first: u8) -> bool {
    packet.len() == HANDSHAKE_LEN && packet.first() == Some(&first)
}

/// What lies under the seal of a packet.
fn opened(packet: Bytes, way: Direction) -> Option<Bytes> {
    let client = seal::client_of(&packet)?;
    Seal::null(client, way).open(packet).ok()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.asked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_ops() {
        let open = br#"{"k":"x","ops":[{"op":"connect_data","host":"f0","port":443,"d":"aGVsbG8="}]}"#;
        let summary =
            |body: &'static [u8]| Summary::of_request(BodyForm::Json, &Bytes::from_static(body)).asked();
        assert_eq!(summary(open), "open + 5 B");
        let sid = "0123456789abcdef0123456789abcdef";
        let polls = format!(
            r#"{{"k":"x","ops":[{{"op":"data","sid":"{sid}","seq":4}},{{"op":"data","sid":"{sid}","seq":5}}]}}"#
        );
        let summary = Summary::of_request(BodyForm::Json, &polls.into());
        assert_eq!(summary.asked(), "2 polls #4");
    }

    #[test]
    fn an_answer_is_told_by_its_replies() {
        let answer =
            br#"{"r":[{"sid":"0123456789abcdef0123456789abcdef","d":"aGVsbG8=","eof":true,"seq":2}]}"#;
        let summary =
            |body: &'static [u8]| Summary::of_answer(BodyForm::Json, &Bytes::from_static(body)).answered();
        assert_eq!(summary(answer), "5 B + eof #2");
        assert_eq!(summary(b"<html>"), "nothing");
    }
}
