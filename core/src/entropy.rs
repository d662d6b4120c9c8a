//! Entropy of a machine: what its names are made of, and a generator of keys that forgets (protocol.md 3.1 Keys).

use core::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a machine makes of its seed, which is not kept.
#[derive(Clone)]
pub(crate) struct Entropy {
    names: [u8; 32],
    draws: Draws,
}

impl Entropy {
    /// What follows from `seed`: 32 secret and fresh bytes.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut draws = Draws { state: Zeroizing::new(seed) };
        Self { names: *draws.draw(), draws }
    }

    /// What a machine has that is to make the same names, and no key of the same.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn of_names(names: [u8; 32]) -> Self {
        Self { names, draws: Draws { state: Zeroizing::new(names) } }
    }

    /// What makes session ids, ids of clients, the name of a node: names that everybody sees, and nobody can guess.
    pub(crate) const fn names(&self) -> [u8; 32] {
        self.names
    }

    /// The generator of keys.
    pub(crate) fn into_draws(self) -> Draws {
        self.draws
    }
}

/// The part of a seed that recordings keep: it makes the same names again, and none of the keys.
#[must_use]
pub fn names_of_seed(seed: [u8; 32]) -> [u8; 32] {
    Entropy::new(seed).names()
}

/// A generator of secret values. Its state says nothing of what it gave before: each draw replaces it by
/// `HKDF-Expand(state, "seqlane v3 draw", 64)`, of which the second half is the value.
#[derive(Clone)]
pub(crate) struct Draws {
    state: Zeroizing<[u8; 32]>,
}

impl Draws {
    /// A value that was not drawn before.
    pub(crate) fn draw(&mut self) -> Zeroizing<[u8; 32]> {
        let mut next = Zeroizing::new([[0; 32]; 2]);
        // The state is as long as a key must be, and two blocks of the hash are an output that HKDF can always give.
        if let Ok(state) = Hkdf::<Sha256>::from_prk(self.state.as_slice()) {
            let _ = state.expand(b"seqlane v3 draw", next.as_flattened_mut());
        }
        let [state, value] = *next;
        *self.state = state;
        Zeroizing::new(value)
    }
}

impl fmt::Debug for Draws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draws(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_differs_and_a_state_makes_the_same_ones_after_it() {
        let mut draws = Entropy::new([7; 32]).into_draws();
        let first = draws.draw();
        let mut copy = draws.clone();
        let second = draws.draw();
        assert_ne!(first, second);
        assert_eq!(copy.draw(), second);
    }

    #[test]
    fn the_state_after_a_draw_is_neither_the_seed_nor_what_was_drawn() {
        let seed = [7; 32];
        let mut draws = Entropy::new(seed).into_draws();
        let value = draws.draw();
        assert!(
            *draws.state != seed && draws.state != value && draws.state.as_slice() != names_of_seed(seed)
        );
    }

    #[test]
    fn a_debug_print_shows_no_state() {
        assert_eq!(alloc::format!("{:?}", Entropy::new([77; 32]).into_draws()), "Draws(..)");
    }
}
