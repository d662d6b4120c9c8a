//! Recordings of the events and actions of a machine, for `seqlane-sim replay`.
//!
//! ```text
//!  driver ── messages, bounded, never waited for ──▶ thread ──▶ file
//! ```
//! The driver sends copies and goes on. When the thread cannot keep up, or the file cannot be written, the recording
//! ends with a note; the driver is not disturbed.

mod queue;
mod recorder;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::path::Path;

use seqlane::{Client, ClientEvent, FlowId, FlowKind, Instant, Misuse, OpenError, Target, names_of_seed};
use seqlane_record::Machine;

pub(crate) use recorder::{Finished, Recorder};

use crate::error::StartError;

/// A machine with its recorder, if it is recorded.
pub(crate) struct RecordedMachine<M: Machine> {
    machine: M,
    recorder: Option<Recorder<M>>,
}

impl<M: Machine> RecordedMachine<M> {
    /// A machine that was made at `start`.
    pub(crate) fn new(machine: M, mut recorder: Option<Recorder<M>>, start: Instant) -> Self {
        if let Some(recorder) = &mut recorder {
            recorder.begin(start);
        }
        Self { machine, recorder }
    }

    /// Hands in an event.
    pub(crate) fn handle(&mut self, now: Instant, event: M::Event) -> Result<(), Misuse> {
        let Some(recorder) = &mut self.recorder else { return self.machine.handle(now, event) };
        // Before it is handed in, so that an event that makes the machine panic is in the file.
        recorder.event(now, self.machine.opened(event.clone()));
        self.machine.handle(now, event).inspect_err(|misuse| recorder.refused(*misuse))
    }

    /// Takes the next action.
    pub(crate) fn poll(&mut self) -> M::Action {
        let action = self.machine.poll();
        if let Some(recorder) = &mut self.recorder {
            recorder.action(action.clone());
        }
        action
    }
}

impl RecordedMachine<Client> {
    /// Opens a flow: the one event that has an answer.
    pub(crate) fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
        let Some(recorder) = &mut self.recorder else { return self.machine.open(now, target, kind) };
        recorder.event(now, ClientEvent::Open { target: target.clone(), kind });
        self.machine.open(now, target, kind).inspect_err(|error| recorder.refused((*error).into()))
    }
}

impl<M: Machine> Deref for RecordedMachine<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

/// Starts a recording in a new file.
pub(crate) fn start<M>(
    path: impl AsRef<Path>,
    options: M::Options,
    seed: [u8; 32],
) -> Result<(Recorder<M>, Finished), StartError>
where
    M: Machine<Options: Send, Event: Send, Action: Send> + 'static,
{
    let path = path.as_ref();
    Recorder::start(path, options, names_of_seed(seed))
        .map_err(|error| StartError::Record { path: path.to_owned(), error })
}

/// A new file that only its owner may read. An existing file is an error.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
