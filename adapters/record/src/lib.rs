//! Recordings of Seqlane's machines: the events that a machine was given and the actions that it returned, in a file
//! that can be replayed.
//!
//! A machine is determined by its options, its names, its events and their times. A recording holds these, so the same
//! machine can be driven again, by another build of the code too. The first action that differs shows where the two
//! runs part.
//!
//! ```text
//!  RecordingWriter ── begin, event, action, …, end ──▶ bytes of a file ──▶ Recording ── entries ──▶ the machine again
//! ```
//!
//! Neither end does any I/O. A recording contains no key and no secret: a [`Mask`] replaces them by stand-ins, in the
//! options and in bodies. Packets of level 2 lie [open](Machine::opened) in it, and the machine of a replay is one of models,
//! whose seals hide nothing: neither the seed nor any key of a connection is in the file, so nothing that was on the wire
//! opens with what is. Everything else is recorded as it was, *the payload of the flows included*.
//!
//! ```
//! use seqlane::{Instant, Node, NodeEvent, NodeOptions, Secret, names_of_seed};
//! use seqlane_record::{Ending, Entry, Machine, Recording, RecordingWriter};
//!
//! let options = NodeOptions::new(Secret::new("correct horse"));
//! let (seed, start) = ([7; 32], Instant::ZERO);
//! let mut node = Node::new(options.clone().validate()?, seed, start);
//!
//! let mut file = Vec::new();
//! let mut writer = RecordingWriter::<Node>::begin(&options, names_of_seed(seed), start, &mut file);
//! writer.event(start, &Machine::opened(&node, NodeEvent::Timeout), &mut file);
//! node.handle(start, NodeEvent::Timeout)?;
//! writer.action(&node.poll(), &mut file);
//! writer.end(Ending::Stopped, &mut file);
//!
//! let Recording::Node(recorded) = Recording::read(file.into())? else { panic!("a node was recorded") };
//! let mut node = Node::start(recorded.options, recorded.names, recorded.start)?;
//! let mask = Node::mask(&options);
//! for entry in recorded.entries {
//!     match entry? {
//!         Entry::Event { now, event } => node.handle(now, event)?,
//!         Entry::Action(recorded) => assert_eq!(recorded, Node::record_action(&node.poll(), &mask)),
//!         Entry::Refused(why) => panic!("{why}"),
//!         Entry::End(ending) => assert_eq!(ending, Ending::Stopped),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # File format, version 3
//!
//! ```text
//!  file    = "seqlane-recording 3\n", head, "\n", entry…
//!  head    = one line of JSON: {"machine","program","names","start","keys","secret","users","options"};
//!            start in microseconds; a key is the length of its stand-in, a secret its number
//!  entry   = length of body (varint), body, checksum (4 bytes)
//!  body    = 0, now, event
//!          | 1, the reason why the event was refused, as text
//!          | 2, hash of the payload or body of an action (8 bytes; 0 for none), the action as text
//!          | 3, ending: 0 stopped, 1 fell behind, 2 full
//!  event   = number of its kind, its fields, then its bytes to the end of the body
//! ```
//! Integers are those of [`varint`](seqlane::wire::varint) where nothing else is said. The checksum covers everything
//! before it, so a damaged, lost or moved entry is detected. A recording without an end was cut.
#![forbid(unsafe_code)]

mod checksum;
mod client;
mod cursor;
mod entry;
mod error;
mod head;
mod json_fields;
mod machine;
mod mask;
mod node;
mod open_packet;
mod packets;
mod reader;
mod stand_in;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::{Ending, Entry, RecordedAction};
pub use error::{BadRecording, Problem};
pub use machine::{Machine, Payload, Secrets};
pub use mask::Mask;
pub use reader::{Entries, Recorded, Recording};
pub use writer::RecordingWriter;

/// The first line of every recording of this version.
pub const MAGIC: &str = "seqlane-recording 3\n";
