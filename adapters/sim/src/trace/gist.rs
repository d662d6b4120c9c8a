//! What a body carries, in a few words for people.

use std::fmt;

use seqlane::wire::{self, AnswerError, Limits, Op, Reply};
use serde::{Deserialize, Serialize};

/// The ops of a request, or the replies of an answer, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gist {
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
    /// The first place in a session that is named (level 1).
    pub seq: Option<u64>,
}

const LIMITS: Limits = Limits { max_body: 256 << 20, max_ops: usize::MAX };

impl Gist {
    /// Of a request.
    pub fn of_request(body: &[u8]) -> Self {
        let mut gist = Self::default();
        let Ok(request) = wire::decode_request(body, LIMITS) else { return gist };
        for op in request.decode_ops().iter().flatten() {
            gist.add_op(op);
        }
        gist
    }

    /// Of an answer.
    pub fn of_answer(body: &[u8]) -> Self {
        // How many replies there must be is known to those who sent the request.
        let replies = match wire::decode_answer(body, 0, LIMITS) {
            Err(AnswerError::WrongLength { got, .. }) => wire::decode_answer(body, got, LIMITS),
            other => other,
        };
        let mut gist = Self::default();
        for reply in replies.iter().flatten() {
            gist.add_reply(reply);
        }
        gist
    }

    fn add_op(&mut self, op: &Op) {
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
        let packets: usize = reply.packets.iter().map(bytes::Bytes::len).sum();
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
        let parts = [times(self.opens, open), bytes, times(self.polls, poll), times(self.ends, end), errors];
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

impl fmt::Display for Gist {
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
        assert_eq!(Gist::of_request(open).asked(), "open + 5 B");
        let sid = "0123456789abcdef0123456789abcdef";
        let polls = format!(
            r#"{{"k":"x","ops":[{{"op":"data","sid":"{sid}","seq":4}},{{"op":"data","sid":"{sid}","seq":5}}]}}"#
        );
        assert_eq!(Gist::of_request(polls.as_bytes()).asked(), "2 polls #4");
    }

    #[test]
    fn an_answer_is_told_by_its_replies() {
        let answer =
            br#"{"r":[{"sid":"0123456789abcdef0123456789abcdef","d":"aGVsbG8=","eof":true,"seq":2}]}"#;
        assert_eq!(Gist::of_answer(answer).answered(), "5 B + eof #2");
        assert_eq!(Gist::of_answer(b"<html>").answered(), "nothing");
    }
}
