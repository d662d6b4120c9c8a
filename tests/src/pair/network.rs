//! The network between the machines: requests and replies in flight.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{ClientEvent, Endpoint, ExchangeFailure, ExchangeId, NodeEvent, RelayId, RequestId};

use super::Pair;
use super::step::Fate;

/// A request in flight to the node.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) exchange: ExchangeId,
    pub(super) relay: RelayId,
    pub(super) body: Bytes,
}

/// A reply in flight to the client.
#[derive(Debug)]
pub(super) struct Reply {
    exchange: ExchangeId,
    body: Bytes,
}

/// The `Retry-After` of a relay that refuses.
const PAUSE: Duration = Duration::from_secs(1);

impl Pair {
    pub(super) fn network(&mut self, index: usize, fate: Fate) {
        match fate {
            Fate::Arrive => {
                if let Some(request) = take(&mut self.requests, index) {
                    self.arrive(&request, true);
                }
            }
            Fate::Double => {
                // Level 0 cannot distinguish a second copy from a new op, so flows do not survive duplication.
                if self.setting.is_sequenced()
                    && let Some(request) = take(&mut self.requests, index)
                {
                    self.duplicated = true;
                    self.arrive(&request, false);
                    self.requests.push(request);
                }
            }
            Fate::Return => {
                if let Some(reply) = take(&mut self.replies, index) {
                    self.end_exchange(reply.exchange, Ok(reply.body));
                }
            }
            Fate::LoseRequest => self.fail(index, ExchangeFailure::Unknown),
            Fate::NotSent => self.fail(index, ExchangeFailure::NotSent),
            Fate::Refuse => self.fail(index, ExchangeFailure::Refused { retry_after: Some(PAUSE) }),
            Fate::LoseReply => {
                if let Some(reply) = take(&mut self.replies, index) {
                    self.end_exchange(reply.exchange, Err(ExchangeFailure::Unknown));
                }
            }
            Fate::Cut(at) => {
                if let Some(reply) = take(&mut self.replies, index) {
                    let kept = at.checked_rem(reply.body.len()).unwrap_or(0);
                    self.end_exchange(reply.exchange, Ok(reply.body.slice(..kept)));
                }
            }
        }
    }

    /// A request reaches the node; `awaited` is whether the caller waits for the answer.
    fn arrive(&mut self, request: &Request, awaited: bool) {
        let number = RequestId::new(self.next_request);
        self.next_request += 1;
        self.held.insert(number, awaited.then_some(request.exchange));
        let strips = self.setting.second_strips && request.relay.index() == 1;
        let body = if strips { without_seq(&request.body) } else { request.body.clone() };
        let event = NodeEvent::Request { request: number, endpoint: Endpoint::Batch, body };
        self.node.handle(self.now, event).expect("S9: a request is never misuse");
        self.drain();
    }

    fn fail(&mut self, index: usize, why: ExchangeFailure) {
        if let Some(request) = take(&mut self.requests, index) {
            self.end_exchange(request.exchange, Err(why));
        }
    }

    fn end_exchange(&mut self, exchange: ExchangeId, outcome: Result<Bytes, ExchangeFailure>) {
        assert!(self.exchanges.remove(&exchange), "an exchange that the network ends twice");
        let event = match outcome {
            Ok(body) => ClientEvent::Reply { exchange, body },
            Err(why) => ClientEvent::ExchangeFailed { exchange, why },
        };
        self.client.handle(self.now, event).expect("S9: an answer is never misuse");
        self.drain();
    }

    pub(super) fn on_respond(&mut self, request: RequestId, body: Bytes) {
        let exchange = self.held.remove(&request).expect("S5: a request was answered twice");
        if let Some(exchange) = exchange {
            self.replies.push(Reply { exchange, body });
        }
    }
}

/// Takes the message at `index` modulo their number.
fn take<T>(on_the_way: &mut Vec<T>, index: usize) -> Option<T> {
    index.checked_rem(on_the_way.len()).map(|place| on_the_way.remove(place))
}

/// A request as a relay passes it on that copies the keys it knows, and `seq` is none of them.
fn without_seq(body: &[u8]) -> Bytes {
    const KEY: &str = ",\"seq\":";
    let body = core::str::from_utf8(body).expect("JSON");
    let mut pieces = body.split(KEY);
    let mut stripped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        stripped.push_str(piece.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    stripped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripped_request_lacks_every_seq_and_nothing_else() {
        let body = br#"{"ops":[{"sid":"a","seq":10,"d":"eA=="},{"sid":"b","seq":2}]}"#;
        assert_eq!(without_seq(body), r#"{"ops":[{"sid":"a","d":"eA=="},{"sid":"b"}]}"#);
    }
}
