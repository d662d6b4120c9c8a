//! Tokens, which let a user in whose half-open connections are many (protocol.md 3.1 Admission).

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::id::{Generated, IdGenerator};
use crate::time::Instant;
use crate::wire::handshake::Token;

/// A token is good in the period in which it was made, and in the next.
const PERIOD_SECONDS: u64 = 30;

/// The key of a node's tokens. It follows from the node's names, so that whoever replays a recording knows the tokens again.
struct TokenKey(Zeroizing<[u8; 32]>);

impl Generated for TokenKey {
    const LABEL: &'static [u8] = b"seqlane token";

    fn from_digest(digest: [u8; 32]) -> Self {
        Self(Zeroizing::new(digest))
    }
}

/// Makes tokens, and knows them again without keeping any.
#[derive(Clone)]
pub(super) struct Tokens {
    key: Zeroizing<[u8; 32]>,
}

impl Tokens {
    /// Tokens under a key made of `names`.
    pub(super) fn new(names: [u8; 32]) -> Self {
        let TokenKey(key) = IdGenerator::new(names).generate();
        Self { key }
    }

    /// The token of a user, by name.
    pub(super) fn make(&self, user: &str, now: Instant) -> Token {
        self.of_period(user, period(now))
    }

    /// Whether a token is of this user, and not too old.
    pub(super) fn is_good(&self, token: Token, user: &str, now: Instant) -> bool {
        let now = period(now);
        let fits = |period| bool::from(self.of_period(user, period).0.ct_eq(&token.0));
        fits(now) || now.checked_sub(1).is_some_and(fits)
    }

    fn of_period(&self, user: &str, period: u64) -> Token {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(self.key.as_slice()) else { return Token([0; 16]) };
        let mac = mac.chain_update(period.to_be_bytes()).chain_update(user).finalize().into_bytes();
        let mut token = Token([0; 16]);
        token.0.iter_mut().zip(mac).for_each(|(place, byte)| *place = byte);
        token
    }
}

fn period(now: Instant) -> u64 {
    now.as_micros() / 1_000_000 / PERIOD_SECONDS
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_token_is_good_for_30_to_60_seconds_at_its_node_and_for_its_user() {
        let tokens = Tokens::new([1; 32]);
        let token = tokens.make("laptop", at(29));
        assert!(tokens.is_good(token, "laptop", at(29)) && tokens.is_good(token, "laptop", at(59)));
        assert!(!tokens.is_good(token, "laptop", at(60)), "too old");
        assert!(!tokens.is_good(token, "phone", at(29)), "another user");
        assert!(!Tokens::new([2; 32]).is_good(token, "laptop", at(29)), "another node");
        assert!(!tokens.is_good(Token([0; 16]), "laptop", at(29)));
    }
}
