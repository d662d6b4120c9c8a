//! Recordings: what a machine was told and what it wanted done, in a form that can be replayed.
//!
//! A machine does nothing but what its configuration, its seed, its events and their times make it do. So whoever
//! writes those down can have the same machine do the same again, with another build of the code too, and see where
//! the two part.
//!
//! ```text
//!  Scribe ── begin, event, action, …, end ──▶ bytes of a file ──▶ Recording ── entries ──▶ the same machine again
//! ```
//!
//! Neither of the two does any I/O. A recording has no key and no secret in it: a [`Mask`] puts stand-ins in their
//! places, in the configuration, in JSON bodies, and under the seals of level 2. All else is in it as it was, *what
//! the flows carried included*.
//!
//! ```
//! use seqlane::record::{Ending, Entry, Machine, Recording, Scribe};
//! use seqlane::{Instant, Node, NodeEvent, NodeOptions, Secret};
//!
//! let options = NodeOptions::new(Secret::new("correct horse"));
//! let (seed, start) = ([7; 32], Instant::ZERO);
//! let mut node = Node::start(options.clone(), seed, start)?;
//!
//! let mut file = Vec::new();
//! let mut scribe = Scribe::<Node>::begin(&options, seed, start, &mut file);
//! scribe.event(start, &NodeEvent::Timeout, &mut file);
//! node.handle(start, NodeEvent::Timeout)?;
//! scribe.action(&node.poll(), &mut file);
//! scribe.end(Ending::Stopped, &mut file);
//!
//! let Recording::Node(recorded) = Recording::read(file.into())? else { panic!("a node was recorded") };
//! let mut node = Node::start(recorded.options, recorded.seed, recorded.start)?;
//! let mask = Node::mask(&options);
//! for entry in recorded.entries {
//!     match entry? {
//!         Entry::Event { now, event } => node.handle(now, event)?,
//!         Entry::Action(told) => assert_eq!(told, Node::tell(&node.poll(), &mask)),
//!         Entry::Refused(why) => panic!("{why}"),
//!         Entry::End(ending) => assert_eq!(ending, Ending::Stopped),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The form of the file, version 1
//!
//! ```text
//!  file    = "seqlane-recording 1\n", head, "\n", entry…
//!  head    = one line of JSON: {"machine","program","seed","start","options"}; times in microseconds
//!  entry   = length of body (varint), body, check (4 bytes)
//!  body    = 0, now, event
//!          | 1, why the event was refused, as text
//!          | 2, hash of what the action carries (8 bytes; 0 when nothing), the action as text
//!          | 3, ending: 0 stopped, 1 fell behind, 2 full
//!  event   = number of its kind, its fields, then its bytes to the end of the body
//! ```
//! Integers are those of [`varint`](crate::wire::varint) where nothing else is said. The check covers everything
//! before it, so an entry that is damaged, lost or moved is noticed. A recording without its last entry was cut.

mod check;
mod client;
mod entry;
mod error;
mod head;
mod literal;
mod machine;
mod mask;
mod node;
mod reader;
mod scribe;
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;

pub use entry::{Ending, Entry, Told};
pub use error::{BadRecording, Problem};
pub use machine::Machine;
pub use mask::Mask;
pub use reader::{Entries, Recorded, Recording};
pub use scribe::Scribe;

/// How every recording of this version begins.
pub const MAGIC: &str = "seqlane-recording 1\n";
