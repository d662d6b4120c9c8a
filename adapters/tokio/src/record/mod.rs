//! Recordings of what a machine is told and what it wants done, for `seqlane-sim replay`.
//!
//! ```text
//!  the machine's task ── messages, bounded, never waited for ──▶ a thread ──▶ file
//! ```
//! The machine's task gives copies away and goes on. When the thread cannot keep up, or the file cannot be written,
//! the recording ends and says so; the program does not notice.

mod tape;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::path::Path;

use seqlane::{Client, ClientEvent, FlowId, FlowKind, Instant, Misuse, OpenError, Target};
use seqlane_record::Machine;

pub(crate) use tape::{Finished, Tape};

use crate::error::StartError;

/// A machine, and what records it.
pub(crate) struct Taped<M: Machine> {
    machine: M,
    tape: Option<Tape<M>>,
}

impl<M: Machine> Taped<M> {
    /// A machine that was made at `start`.
    pub(crate) fn new(machine: M, mut tape: Option<Tape<M>>, start: Instant) -> Self {
        if let Some(tape) = &mut tape {
            tape.begin(start);
        }
        Self { machine, tape }
    }

    /// Hands in an event.
    pub(crate) fn handle(&mut self, now: Instant, event: M::Event) -> Result<(), Misuse> {
        let Some(tape) = &mut self.tape else { return self.machine.handle(now, event) };
        // Before it is handed in: an event that the machine does not survive is the one that people look for.
        tape.event(now, event.clone());
        self.machine.handle(now, event).inspect_err(|misuse| tape.refused(*misuse))
    }

    /// Takes the next thing to be done.
    pub(crate) fn poll(&mut self) -> M::Action {
        let action = self.machine.poll();
        if let Some(tape) = &mut self.tape {
            tape.action(action.clone());
        }
        action
    }
}

impl Taped<Client> {
    /// Opens a flow: the one event that has an answer.
    pub(crate) fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
        let Some(tape) = &mut self.tape else { return self.machine.open(now, target, kind) };
        tape.event(now, ClientEvent::Open { target: target.clone(), kind });
        self.machine.open(now, target, kind).inspect_err(|error| tape.refused((*error).into()))
    }
}

impl<M: Machine> Deref for Taped<M> {
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
) -> Result<(Tape<M>, Finished), StartError>
where
    M: Machine<Options: Send, Event: Send, Action: Send> + 'static,
{
    let path = path.as_ref();
    Tape::start(path, options, seed).map_err(|error| StartError::Record { path: path.to_owned(), error })
}

/// A new file that nobody but its owner may read. One that is there already is left alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
