//! Hellos of a client, one for each relay that is asked where it leads (protocol.md 3.1 Handshake).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::client::streams::decrypted::Content;
use crate::entropy::Draws;
use crate::id::{Generated, IdGenerator, RelayId, first};
use crate::time::Instant;
use crate::wire::handshake::{
    AnswerPayload, ClientHello, ConnectionKeys, HelloPayload, Notice, SecretKeys, Token,
};
use crate::wire::packet::ClientId;
use crate::wire::seal::HEAD_LEN;

/// How long a hello is sent again and again before its key is erased. The node keeps its end for 60 s.
const LIFETIME: Duration = Duration::from_secs(30);

/// The random part of an id.
#[derive(Clone, Debug)]
struct RandomPart([u8; 8]);

impl Generated for RandomPart {
    const LABEL: &'static [u8] = b"seqlane client";

    fn from_digest(digest: [u8; 32]) -> Self {
        Self(first(digest))
    }
}

/// The hellos that are not answered.
#[derive(Clone, Debug)]
pub(super) struct Hellos {
    keys: SecretKeys,
    random: IdGenerator<RandomPart>,
    draws: Draws,
    sent: BTreeMap<RelayId, SentHello>,
    /// What the next hello through a relay brings.
    tokens: BTreeMap<RelayId, Token>,
}

/// A hello that is not answered.
#[derive(Clone, Debug)]
struct SentHello {
    hello: Box<ClientHello>,
    client: ClientId,
    /// When it was sent first.
    first: Instant,
    /// Whether it has a token.
    invited: bool,
}

/// Of hellos in models, which have no keys.
impl Hash for Hellos {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (relay, hello) in &self.sent {
            (relay, hello.client, hello.first, hello.invited).hash(state);
        }
        self.tokens.keys().for_each(|relay| relay.hash(state));
    }
}

/// What the answer to a hello says.
#[derive(Debug)]
pub(super) enum HelloAnswer {
    /// The node lets the client in.
    Accepted(AnswerPayload, ConnectionKeys),
    /// It does not. `token` is what the next hello shall bring, where one is to follow at once.
    Refused(Notice),
    /// It invites the client to come again.
    Invited {
        /// After how long.
        wait: Duration,
    },
    /// The answer does not open.
    Garbled,
    /// Nothing waits for it any more.
    Late,
}

impl Hellos {
    /// Hellos under the keys of a secret, with ids made of `names`.
    pub(super) const fn new(keys: SecretKeys, names: [u8; 32], draws: Draws) -> Self {
        Self { keys, random: IdGenerator::new(names), draws, sent: BTreeMap::new(), tokens: BTreeMap::new() }
    }

    /// The ids of the hellos that are not answered.
    #[cfg(feature = "model")]
    pub(super) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.sent.values().map(|sent| sent.client)
    }

    /// The keys of the secret.
    pub(super) const fn keys(&self) -> &SecretKeys {
        &self.keys
    }

    /// The hello through a relay: the same as before, unless that is too old.
    pub(super) fn packet(&mut self, relay: RelayId, now: Instant) -> (ClientId, Bytes) {
        self.expire(now);
        if let Some(sent) = self.sent.get(&relay) {
            return (sent.client, sent.hello.packet());
        }
        let token = self.tokens.remove(&relay);
        let RandomPart(random) = self.random.generate();
        let client = self.keys.client_id(random);
        let hello = ClientHello::new(&self.keys, client, *self.draws.draw(), HelloPayload { token });
        let packet = hello.packet();
        let hello = Box::new(hello);
        self.sent.insert(relay, SentHello { hello, client, first: now, invited: token.is_some() });
        (client, packet)
    }

    /// An answer to the hello under this id, through a relay, came.
    pub(super) fn open(&mut self, relay: RelayId, client: ClientId, answer: &[u8]) -> HelloAnswer {
        let Some(sent) = self.sent_to(relay, client) else { return HelloAnswer::Late };
        if let Ok((payload, keys)) = sent.hello.read(answer) {
            self.forget(relay);
            return HelloAnswer::Accepted(payload, keys);
        }
        match self.notice(sent, answer) {
            Some(notice) => self.on_notice(relay, notice),
            None => HelloAnswer::Garbled,
        }
    }

    /// What an answer to the hello under this id says, without any effect.
    pub(super) fn read(&self, relay: RelayId, client: ClientId, answer: &[u8]) -> Option<Content> {
        let sent = self.sent_to(relay, client)?;
        match sent.hello.read(answer) {
            Ok((payload, _)) => Some(Content::Answer(payload)),
            Err(_) => self.notice(sent, answer).map(Content::Notice),
        }
    }

    /// An answer that was opened elsewhere came, to a model: its connection has no keys.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn take(&mut self, relay: RelayId, client: ClientId, content: Content) -> HelloAnswer {
        match content {
            _ if self.sent_to(relay, client).is_none() => HelloAnswer::Late,
            Content::Answer(payload) if self.keys.is_null() => {
                self.forget(relay);
                HelloAnswer::Accepted(payload, ConnectionKeys::null(client))
            }
            Content::Notice(notice) if self.keys.is_null() => self.on_notice(relay, notice),
            Content::Answer(_) | Content::Notice(_) | Content::Response(..) => HelloAnswer::Garbled,
        }
    }

    fn sent_to(&self, relay: RelayId, client: ClientId) -> Option<&SentHello> {
        self.sent.get(&relay).filter(|sent| sent.client == client)
    }

    /// The notice that answers a hello, if it opens.
    fn notice(&self, sent: &SentHello, answer: &[u8]) -> Option<Notice> {
        let hello = sent.hello.packet();
        Notice::open(self.keys.notice(), hello.first_chunk::<HEAD_LEN>()?, answer).ok()
    }

    fn on_notice(&mut self, relay: RelayId, notice: Notice) -> HelloAnswer {
        let invited = self.sent.get(&relay).is_some_and(|sent| sent.invited);
        self.forget(relay);
        match notice.token {
            Some(token) if !invited => {
                self.tokens.insert(relay, token);
                HelloAnswer::Invited { wait: notice.wait }
            }
            Some(_) | None => HelloAnswer::Refused(notice),
        }
    }

    /// The hello of a relay is over, and its key erased.
    pub(super) fn forget(&mut self, relay: RelayId) {
        self.sent.remove(&relay);
    }

    /// Erases the keys of hellos that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        self.sent.retain(|_, sent| now.saturating_since(sent.first) < LIFETIME);
    }

    /// When the next hello is too old.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.sent.values().map(|sent| sent.first.saturating_add(LIFETIME)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::secret::Secret;
    use crate::wire::handshake::{NodeId, NoticeKind, ReceivedHello};
    use crate::wire::packet::Grants;
    use crate::wire::seal::Nonce;

    const RELAY: RelayId = RelayId::new(0);
    const SEED: [u8; 32] = [5; 32];

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn keys() -> SecretKeys {
        SecretKeys::new(&Secret::new("a secret of both ends"))
    }

    fn hellos() -> Hellos {
        let entropy = Entropy::new(SEED);
        Hellos::new(keys(), entropy.names(), entropy.into_draws())
    }

    fn answer(hello: &[u8]) -> Bytes {
        let grants = Grants {
            uplink_window: 1 << 18,
            uplink_total: 1 << 20,
            downlink_total: 1 << 20,
            max_packet: 1 << 20,
            max_hold: Duration::from_secs(50),
            max_held: 8,
            max_streams: 8,
        };
        let payload = AnswerPayload { node: NodeId([1; 16]), grants };
        ReceivedHello::open(&keys(), hello).unwrap().answer([9; 32], payload).unwrap().0
    }

    fn notice(hello: &[u8], token: Option<Token>) -> Bytes {
        let notice = Notice {
            kind: NoticeKind::Busy,
            node: NodeId([1; 16]),
            wait: Duration::from_secs(1),
            token,
            text: "".into(),
        };
        notice.seal(keys().notice(), hello.first_chunk().unwrap(), Nonce::new([2; 24])).unwrap()
    }

    #[test]
    fn a_hello_is_the_same_256_bytes_for_30_seconds_and_then_another_one() {
        let mut hellos = hellos();
        let first = hellos.packet(RELAY, at(0));
        assert_eq!(hellos.packet(RELAY, at(29)), first);
        assert_ne!(hellos.packet(RelayId::new(1), at(0)), first, "each relay has its own");
        let later = hellos.packet(RELAY, at(30));
        assert_ne!(later, first);
        assert!(matches!(hellos.open(RELAY, first.0, &answer(&first.1)), HelloAnswer::Late));
    }

    #[test]
    fn what_opens_is_an_answer_once_and_anything_else_is_garbled() {
        let mut hellos = hellos();
        let (client, hello) = hellos.packet(RELAY, at(0));
        for garbage in [&b""[..], b"<html>", &hello, &answer(&hellos.packet(RelayId::new(1), at(0)).1)] {
            assert!(matches!(hellos.open(RELAY, client, garbage), HelloAnswer::Garbled));
        }
        let answer = answer(&hello);
        assert!(matches!(hellos.open(RELAY, client, &answer), HelloAnswer::Accepted(..)));
        assert!(matches!(hellos.open(RELAY, client, &answer), HelloAnswer::Late));
    }

    #[test]
    fn a_token_goes_with_the_next_hello_and_a_second_one_is_a_refusal() {
        let mut hellos = hellos();
        let (client, hello) = hellos.packet(RELAY, at(0));
        let token = Token([7; 16]);
        let opened = hellos.open(RELAY, client, &notice(&hello, Some(token)));
        assert!(matches!(opened, HelloAnswer::Invited { wait } if wait == Duration::from_secs(1)));
        let (client, hello) = hellos.packet(RELAY, at(1));
        assert_eq!(ReceivedHello::open(&keys(), &hello).unwrap().payload().token, Some(token));
        let opened = hellos.open(RELAY, client, &notice(&hello, Some(token)));
        assert!(matches!(opened, HelloAnswer::Refused(_)));
        let (_, hello) = hellos.packet(RELAY, at(2));
        assert_eq!(ReceivedHello::open(&keys(), &hello).unwrap().payload().token, None);
    }

    #[test]
    fn after_an_answer_neither_the_machine_nor_its_names_make_the_ephemeral_key_again() {
        let mut hellos = hellos();
        let (client, hello) = hellos.packet(RELAY, at(0));
        // The key that the seed made, which nobody keeps.
        let mut draws = Entropy::new(SEED).into_draws();
        let private = draws.draw();
        let made =
            |private| ClientHello::new(&keys(), client, private, HelloPayload { token: None }).packet();
        assert_eq!(made(*private), hello, "it is that one");
        hellos.open(RELAY, client, &answer(&hello));
        assert!(hellos.sent.is_empty());
        let names = hellos.random.clone();
        let mut of_names = Entropy::of_names(Entropy::new(SEED).names()).into_draws();
        for _ in 0..100 {
            assert_ne!(made(*hellos.draws.draw()), hello);
            assert_ne!(made(*of_names.draw()), hello);
        }
        assert!(!alloc::format!("{names:?}").contains("5, 5, 5"));
    }
}
