//! Writing a recording.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use super::check::Check;
use super::entry::{self, Ending};
use super::machine::Machine;
use super::mask::Mask;
use super::{MAGIC, head};
use crate::error::Misuse;
use crate::time::Instant;
use crate::wire::varint;

/// Writes down what a machine is told and what it wants done. Every call appends to a buffer, which the caller takes
/// to wherever the recording shall be.
pub struct Scribe<M> {
    mask: Mask,
    check: Check,
    /// The entry that is being written, kept for its memory.
    body: Vec<u8>,
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine> Scribe<M> {
    /// Begins the recording of a machine that is made with these options and this seed at this time.
    pub fn begin(options: &M::Options, seed: [u8; 32], start: Instant, out: &mut Vec<u8>) -> Self {
        let from = out.len();
        out.extend_from_slice(MAGIC.as_bytes());
        head::write::<M>(options, seed, start, out);
        let mut check = Check::default();
        check.take_in(out.get(from..).unwrap_or_default());
        Self { mask: M::mask(options), check, body: Vec::new(), machine: PhantomData }
    }

    /// An event is handed in at `now`.
    pub fn event(&mut self, now: Instant, event: &M::Event, out: &mut Vec<u8>) {
        entry::write_event::<M>(now, event, &self.mask, &mut self.body);
        self.finish(out);
    }

    /// The event was refused.
    pub fn refused(&mut self, misuse: Misuse, out: &mut Vec<u8>) {
        entry::write_refused(misuse, &mut self.body);
        self.finish(out);
    }

    /// A poll gave an action.
    pub fn action(&mut self, action: &M::Action, out: &mut Vec<u8>) {
        entry::write_action(&M::tell(action, &self.mask), &mut self.body);
        self.finish(out);
    }

    /// Nothing more is recorded.
    pub fn end(mut self, ending: Ending, out: &mut Vec<u8>) {
        entry::write_end(ending, &mut self.body);
        self.finish(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        varint::encode(u64::try_from(self.body.len()).unwrap_or(u64::MAX), out);
        out.extend_from_slice(&self.body);
        self.check.take_in(&self.body);
        out.extend_from_slice(&self.check.value());
        self.body.clear();
    }
}

impl<M: Machine> fmt::Debug for Scribe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scribe").field("machine", &M::NAME).finish_non_exhaustive()
    }
}
