//! Writer of recordings.

use std::fmt;
use std::marker::PhantomData;

use seqlane::wire::varint;
use seqlane::{Instant, Misuse};

use crate::checksum::Checksum;
use crate::cursor::put;
use crate::entry::{self, Ending, RecordedAction};
use crate::machine::Machine;
use crate::mask::Mask;
use crate::{MAGIC, head};

/// Records the events and actions of a machine. Every call appends to a buffer, which the caller writes to the file.
pub struct RecordingWriter<M> {
    mask: Mask,
    checksum: Checksum,
    /// The entry under way; its memory is reused.
    body: Vec<u8>,
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine> RecordingWriter<M> {
    /// Begins the recording of a machine with these options, made at `start` of a seed that [has](seqlane::names_of_seed) these
    /// names.
    pub fn begin(options: &M::Options, names: [u8; 32], start: Instant, out: &mut Vec<u8>) -> Self {
        let from = out.len();
        out.extend_from_slice(MAGIC.as_bytes());
        let mut mask = M::mask(options);
        head::write::<M>(options, names, start, &mut mask, out);
        let mut checksum = Checksum::default();
        checksum.add(&out[from..]);
        Self { mask, checksum, body: Vec::new(), machine: PhantomData }
    }

    /// Records that an event is handed in at `now`, as [`Machine::opened`] gives it.
    pub fn event(&mut self, now: Instant, event: &M::Event, out: &mut Vec<u8>) {
        put([entry::EVENT, now.as_micros()], &mut self.body);
        M::write_event(event, &mut self.mask, &mut self.body);
        self.finish(out);
    }

    /// Records that the event was refused.
    pub fn refused(&mut self, misuse: Misuse, out: &mut Vec<u8>) {
        put([entry::REFUSED], &mut self.body);
        self.body.extend_from_slice(misuse.to_string().as_bytes());
        self.finish(out);
    }

    /// Records that a poll returned an action.
    pub fn action(&mut self, action: &M::Action, out: &mut Vec<u8>) {
        let RecordedAction { text, payload } = M::record_action(action, &self.mask);
        put([entry::ACTION], &mut self.body);
        self.body.extend_from_slice(&payload.to_be_bytes());
        self.body.extend_from_slice(text.as_bytes());
        self.finish(out);
    }

    /// Ends the recording.
    pub fn end(mut self, ending: Ending, out: &mut Vec<u8>) {
        put([entry::END, ending as u64], &mut self.body);
        self.finish(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        varint::encode(self.body.len() as u64, out);
        out.extend_from_slice(&self.body);
        self.checksum.add(&self.body);
        out.extend_from_slice(&self.checksum.value());
        self.body.clear();
    }
}

impl<M: Machine> fmt::Debug for RecordingWriter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingWriter").field("machine", &M::NAME).finish_non_exhaustive()
    }
}
