//! Bodies of the fuzz targets. Every committed input is also a test on stable.
//!
//! | target | what it feeds | what must hold |
//! |---|---|---|
//! | `decode_request` | bytes as a request | what is read is written and read again as the same |
//! | `decode_reply` | bytes as an answer | the same, and as many replies as ops |
//! | `decode_page` | bytes or a page, to a client that waits | its exchange ends; the flow ends or lives on |
//! | `round_trip` | ops and replies made of decisions | decode(encode(x)) = x, with the length foretold |
//! | `reorder` | inserts, pops and removals | the reorder queue does what a map does |
//! | `client` | local events, replies and failures of any kind | the client keeps its contract |
//! | `node` | requests of levels 0 and 1, upstream events and time of any kind | the node keeps its contract |
//! | `node_streams` | the same with packets of level 2 | the same, and every stream stays in order |
//! | `recording` | bytes as a recording, and as the events of one | what is recorded is replayed without a difference |
//! | `pair` | every decision of a simulated run | no property is violated |

mod client;
mod decode;
mod input;
mod node;
mod node_bench;
mod node_oracle;
mod node_streams;
mod pair;
mod peer;
mod recording;
mod reorder;
mod round_trip;

pub use client::client;
pub use decode::{decode_page, decode_reply, decode_request};
pub use node::node;
pub use node_streams::node_streams;
pub use pair::pair;
pub use recording::recording;
pub use reorder::reorder;
pub use round_trip::round_trip;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its file and of its corpus.
pub const TARGETS: [Target; 10] = [
    ("decode_request", decode_request),
    ("decode_reply", decode_reply),
    ("decode_page", decode_page),
    ("round_trip", round_trip),
    ("reorder", reorder),
    ("client", client),
    ("node", node),
    ("node_streams", node_streams),
    ("recording", recording),
    ("pair", pair),
];
