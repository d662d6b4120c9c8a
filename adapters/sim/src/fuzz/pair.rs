//! A whole simulated run whose decisions come from bytes.

use crate::trace::NoTrace;
use crate::world::World;
use crate::{FromBytes, Profile};

/// No decision of the network, of applications and of upstreams makes the machines violate a property.
///
/// # Panics
/// When one does; the message is the violation.
pub fn pair(data: &[u8]) {
    /// More than any short run takes.
    const MOST_EVENTS: u64 = 20_000;
    let scenario = Profile::Swarm.scenario();
    let outcome = World::with(&scenario, FromBytes::new(data), NoTrace).run(MOST_EVENTS);
    if let Some(violation) = outcome.violation {
        panic!("{violation}");
    }
}
