//! The whole system on loopback: origins, a node, relays, a client, and applications that speak to it.
//!
//! ```text
//!  application ── dial ──▶ Client ──▶ StandInRelay … ──▶ Node ──▶ Origin
//! ```

mod application;
pub mod dial;
mod notices;
mod old_node;
pub mod origin;
pub mod pattern;
mod system;

pub use application::{echo, fetch, push, read_exact, read_to_end, reset, take, was_reset};
pub use notices::Notices;
pub use origin::Origin;
pub use pattern::Pattern;
pub use system::{CLIENT_KEY, FREE_PORT, Harness, HarnessBuilder, NODE_KEY, SECRET, node_url};

use self::old_node::OldNode;
