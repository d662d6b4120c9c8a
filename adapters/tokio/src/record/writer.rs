//! The thread that writes a recording.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use seqlane_record::{Ending, Machine, RecordingWriter};
use tracing::{error, warn};

use super::queue::{Backlog, Message};

/// The largest recording: a replay has it in memory.
const MAX_FILE: usize = 1024 * 1024 * 1024;

/// Bytes that are collected before they are written; fewer when the queue is empty.
const CHUNK: usize = 256 * 1024;

/// The receiving end of the queue, and the file.
pub(super) struct Writer<M: Machine> {
    pub(super) file: File,
    pub(super) messages: Receiver<Message<M>>,
    pub(super) backlog: Arc<Backlog>,
}

impl<M: Machine> Writer<M> {
    /// Writes until the machine has been dropped, or the file is full.
    pub(super) fn run(mut self, options: &M::Options, names: [u8; 32]) {
        if let Err(error) = self.write(options, names, MAX_FILE) {
            error!(%error, "the recording ends here: its file cannot be written");
        }
    }

    pub(super) fn write(&mut self, options: &M::Options, names: [u8; 32], limit: usize) -> io::Result<()> {
        let Ok(Message::Begin(start)) = self.messages.recv() else { return Ok(()) };
        let mut waiting = Vec::new();
        let mut writer = RecordingWriter::<M>::begin(options, names, start, &mut waiting);
        let mut written = 0;
        let ending = loop {
            let Some(message) = self.next(&mut waiting, &mut written)? else {
                break if self.backlog.is_lost() { Ending::FellBehind } else { Ending::Stopped };
            };
            self.backlog.subtract(message.weight());
            match message {
                Message::Begin(_) => {}
                Message::Event(now, event) => writer.event(now, &event, &mut waiting),
                Message::Refused(misuse) => writer.refused(misuse, &mut waiting),
                Message::Action(action) => writer.action(&action, &mut waiting),
            }
            if written + waiting.len() >= limit {
                warn!("the recording ends here: its file has the largest size");
                break Ending::Full;
            }
        };
        writer.end(ending, &mut waiting);
        self.file.write_all(&waiting)
    }

    /// The next message, or none when the machine has been dropped. Collected bytes are written when there are many, and
    /// when the queue is empty.
    fn next(&mut self, waiting: &mut Vec<u8>, written: &mut usize) -> io::Result<Option<Message<M>>> {
        if waiting.len() < CHUNK {
            match self.messages.try_recv() {
                Ok(message) => return Ok(Some(message)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        self.file.write_all(waiting)?;
        *written += waiting.len();
        waiting.clear();
        Ok(self.messages.recv().ok())
    }
}
