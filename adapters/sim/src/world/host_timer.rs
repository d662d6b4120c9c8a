//! Timer of a host: its clock, and when its machine wants to be woken.

use seqlane::Wake;

use crate::Time;
use crate::clock::HostClock;

/// The clock of a host, and the timer that its machine has asked for.
#[derive(Clone, Debug)]
pub(super) struct HostTimer {
    clock: HostClock,
    wake: Option<Wake>,
    /// Wake-ups of earlier generations are stale.
    generation: u64,
}

impl HostTimer {
    pub(super) const fn new(clock: HostClock) -> Self {
        Self { clock, wake: None, generation: 0 }
    }

    pub(super) const fn clock(&self) -> &HostClock {
        &self.clock
    }

    pub(super) const fn clock_mut(&mut self) -> &mut HostClock {
        &mut self.clock
    }

    pub(super) const fn wake(&self) -> Option<Wake> {
        self.wake
    }

    /// Sets when the machine wants to be woken. Returns whether that is another time.
    pub(super) fn set(&mut self, wake: Option<Wake>) -> bool {
        std::mem::replace(&mut self.wake, wake) != wake
    }

    /// Sets the timer again. Returns when it falls due, if it does, and its generation.
    pub(super) fn rearm(&mut self, now: Time) -> (Option<Time>, u64) {
        self.generation += 1;
        (self.wake.and_then(|wake| self.clock.when(now, wake.at)), self.generation)
    }

    /// The timer of a generation falls due: what it was set for, unless it was set again since.
    pub(super) fn take(&mut self, generation: u64) -> Option<Wake> {
        if self.generation == generation { self.wake.take() } else { None }
    }
}
