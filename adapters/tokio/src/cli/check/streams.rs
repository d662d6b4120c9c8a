//! A minimal client of level 2.

use std::time::{Duration, Instant};

use bytes::Bytes;
use seqlane::wire::Op;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::handshake::{
    AnswerPayload, ClientHello, ConnectionKeys, HelloPayload, NOTICE, Notice, SecretKeys, Token,
};
use seqlane::wire::number::{ExchangeNumber, StreamNumber};
use seqlane::wire::packet::{self, Grants, RequestHeader, ResponseHeader, ResponseRoom, Status, Unsealed};
use seqlane::wire::reset::ResetCode;
use seqlane::wire::seal::{HEAD_LEN, Nonces, Seal};
use seqlane::{ConnectFailure, FlowKind, NoticeKind, Secret, Target};

use super::calls::RelayCalls;

/// A client of level 2 that has a connection.
pub(super) struct Caller {
    keys: SecretKeys,
    /// What the node grants.
    pub(super) grants: Grants,
    next: ExchangeNumber,
    next_stream: StreamNumber,
    up: Seal,
    down: Seal,
    nonces: Nonces,
}

/// The packaging of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packaging {
    /// An op of a batch.
    Batch,
    /// None.
    Raw,
}

/// Why a packet was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The node does not support the op.
    Unsupported,
    /// The node has another secret: it cannot decrypt the request, or its response cannot be decrypted.
    OtherSecret,
    /// The node has the secret, and says this instead of an answer.
    Notice(NoticeKind, Box<str>),
    /// Anything else, in words.
    Failed(String),
}

/// An answer, and the duration of the call without the time that the node held it.
pub(super) struct Answered {
    pub(super) header: ResponseHeader,
    frames: Frames,
    pub(super) round_trip: Duration,
}

/// A sealed request.
pub(super) struct Request {
    exchange: ExchangeNumber,
    hold: Duration,
    packet: Bytes,
}

/// Requests that the node may hold at a time: more than a check has in flight.
const KEEP: u32 = 64;

/// How long the node may hold a request that opens a stream: longer than it tries by default.
const CONNECT_HOLD: Duration = Duration::from_secs(15);

/// The longest wait before a hello that the node asks for.
const MAX_WAIT: Duration = Duration::from_secs(5);

impl Caller {
    /// A new client, and its handshake. A node that hands out tokens gets its token back once.
    pub(super) async fn connect(
        calls: &RelayCalls,
        packaging: Packaging,
        secret: &Secret,
    ) -> Result<Self, Unanswered> {
        let keys = SecretKeys::new(secret);
        let (answer, connection) = match say_hello(calls, packaging, &keys, None).await? {
            Greeted::In(answer, connection) => (answer, connection),
            Greeted::Notice(Notice { token: Some(token), wait, .. }) => {
                tokio::time::sleep(wait.min(MAX_WAIT)).await;
                match say_hello(calls, packaging, &keys, Some(token)).await? {
                    Greeted::In(answer, connection) => (answer, connection),
                    Greeted::Notice(notice) => return Err(Unanswered::Notice(notice.kind, notice.text)),
                }
            }
            Greeted::Notice(notice) => return Err(Unanswered::Notice(notice.kind, notice.text)),
        };
        Ok(Self {
            keys,
            grants: answer.grants,
            next: ExchangeNumber::ZERO,
            next_stream: StreamNumber::ZERO,
            up: Seal::new(&connection, Direction::Up),
            down: Seal::new(&connection, Direction::Down),
            nonces: Nonces::new(random()?),
        })
    }

    /// The next request. The node keeps all of their numbers (`done` is 0), so that its answers report all of them.
    pub(super) fn request(&mut self, hold: Duration, frames: &[Frame]) -> Request {
        let exchange = self.next;
        self.next = exchange.next();
        let header = RequestHeader {
            exchange,
            done: ExchangeNumber::ZERO,
            hold,
            max_held: KEEP,
            max_response: ResponseRoom::Bytes(packet::MIN_RESPONSE),
            total: packet::MIN_RESPONSE,
            confirm: None,
        };
        let mut packet = Unsealed::request(&header, 256);
        frames.iter().for_each(|frame| packet.push(frame));
        let packet = packet.seal(&self.up, self.nonces.next());
        Request { exchange, hold, packet }
    }

    /// Sends a request that is answered at once.
    pub(super) async fn knock(
        &mut self,
        calls: &RelayCalls,
        packaging: Packaging,
    ) -> Result<Answered, Unanswered> {
        let request = self.request(Duration::ZERO, &[]);
        self.send(calls, packaging, request).await
    }

    /// Opens a stream to `target` and resets it. Returns why the node could not open it, if it could not.
    pub(super) async fn open_stream(
        &mut self,
        calls: &RelayCalls,
        packaging: Packaging,
        target: &Target,
    ) -> Result<Option<ResetCode>, Unanswered> {
        let stream = self.next_stream;
        self.next_stream = stream.next();
        let open = Frame::Open { stream, kind: FlowKind::Tcp, window: 0, target: target.clone() };
        let request = self.request(CONNECT_HOLD, &[open]);
        let answered = self.send(calls, packaging, request).await?;
        for frame in answered.frames {
            match frame {
                Frame::Opened { .. } => {
                    let reset = Frame::Reset { stream, code: ResetCode::Aborted };
                    let request = self.request(Duration::ZERO, &[reset]);
                    return self.send(calls, packaging, request).await.map(|_| None);
                }
                Frame::Reset { code, .. } => return Ok(Some(code)),
                _ => {}
            }
        }
        Ok(Some(ResetCode::Connect(ConnectFailure::TimedOut)))
    }

    /// Sends a request.
    pub(super) async fn send(
        &self,
        calls: &RelayCalls,
        packaging: Packaging,
        request: Request,
    ) -> Result<Answered, Unanswered> {
        let started = Instant::now();
        let answer = call(calls, packaging, request.packet.clone(), request.hold).await?;
        let took = started.elapsed();
        if answer.first() == Some(&NOTICE) {
            return Err(opened(&self.keys, &request.packet, &answer)
                .map_or(Unanswered::OtherSecret, |notice| Unanswered::Notice(notice.kind, notice.text)));
        }
        let (header, frames) = self.decrypt(answer).ok_or(Unanswered::OtherSecret)?;
        if header.exchange != request.exchange {
            return Err(Unanswered::Failed("returned the answer to another call".to_owned()));
        }
        let round_trip = took.saturating_sub(header.held);
        Ok(Answered { header, frames, round_trip })
    }

    fn decrypt(&self, packet: Bytes) -> Option<(ResponseHeader, Frames)> {
        packet::decode_response(self.down.open(packet).ok()?).ok()
    }
}

/// What a node says to a hello.
enum Greeted {
    In(AnswerPayload, ConnectionKeys),
    Notice(Notice),
}

/// Says a hello of its own, and reads what the node says.
async fn say_hello(
    calls: &RelayCalls,
    packaging: Packaging,
    keys: &SecretKeys,
    token: Option<Token>,
) -> Result<Greeted, Unanswered> {
    let hello = ClientHello::new(keys, keys.client_id(random()?), random()?, HelloPayload { token });
    let answer = call(calls, packaging, hello.packet(), Duration::ZERO).await?;
    if let Ok((answer, connection)) = hello.read(&answer) {
        return Ok(Greeted::In(answer, connection));
    }
    opened(keys, &hello.packet(), &answer).map(Greeted::Notice).ok_or(Unanswered::OtherSecret)
}

/// The notice that answers a request, if it is one.
fn opened(keys: &SecretKeys, request: &[u8], answer: &[u8]) -> Option<Notice> {
    Notice::open(keys.notice(), request.first_chunk::<HEAD_LEN>()?, answer).ok()
}

fn random<const N: usize>() -> Result<[u8; N], Unanswered> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map(|()| bytes).map_err(|error| Unanswered::Failed(format!("no randomness: {error}")))
}

/// What answers a packet.
async fn call(
    calls: &RelayCalls,
    packaging: Packaging,
    packet: Bytes,
    hold: Duration,
) -> Result<Bytes, Unanswered> {
    match packaging {
        Packaging::Batch => by_batch(calls, packet, hold).await,
        Packaging::Raw => calls.call_binary(packet, hold).await.map_err(Unanswered::Failed),
    }
}

async fn by_batch(calls: &RelayCalls, packet: Bytes, hold: Duration) -> Result<Bytes, Unanswered> {
    let op = Op::Streams { packet };
    let reply = calls.ask_held(op, hold).await.map_err(Unanswered::Failed)?;
    match reply.error.as_deref() {
        _ if reply.is_unsupported("streams") => Err(Unanswered::Unsupported),
        Some("bad packet") => Err(Unanswered::OtherSecret),
        Some(text) => Err(Unanswered::Failed(format!("`{text}`"))),
        None => Ok(reply.data),
    }
}

/// The number of answered calls that were copies of others, by the node's own count.
pub(super) fn duplicates(newest: &ResponseHeader) -> u64 {
    let others = newest.statuses().filter(|(exchange, _)| *exchange != newest.exchange);
    let answered = others.filter(|(_, status)| matches!(status, Status::Answered { .. })).count();
    let answered = u64::try_from(answered).unwrap_or(u64::MAX);
    // The answers count from 0, and this one is among them.
    newest.answer.get().saturating_sub(answered)
}

#[cfg(test)]
mod tests {
    use seqlane::wire::number::AnswerNumber;
    use seqlane::wire::packet::Flags;

    use super::*;

    fn header(answer: u64, statuses: &[Status]) -> ResponseHeader {
        let last = ExchangeNumber::new(statuses.len() as u64 - 1);
        ResponseHeader {
            exchange: last,
            answer: AnswerNumber::new(answer),
            seen: last,
            statuses: statuses.to_vec(),
            held: Duration::ZERO,
            flags: Flags::default(),
        }
    }

    #[test]
    fn answers_beyond_the_answered_calls_went_to_copies() {
        const ANSWERED: Status = Status::Answered { size: 0 };
        assert_eq!(duplicates(&header(2, &[ANSWERED, ANSWERED, Status::Held])), 0);
        assert_eq!(duplicates(&header(4, &[ANSWERED, ANSWERED, Status::Held])), 2);
        assert_eq!(
            duplicates(&header(1, &[Status::Missing, ANSWERED, ANSWERED])),
            0,
            "a lost call has no answer"
        );
        assert_eq!(duplicates(&header(0, &[ANSWERED])), 0);
    }
}
