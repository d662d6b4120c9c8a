//! Flags for the relays to call.

use clap::Args;
use seqlane::Form;
use seqlane_tokio::exchange::RelayUrl;

/// The hint for a missing key.
pub(super) const NO_KEY: &str =
    "a key is needed, the one that the relay (or node) expects: set SEQLANE_KEY, or give --key KEY";

/// The relays, or a node with no relay between.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Route {
    /// The URL of a relay. Repeat the flag for several relays
    #[arg(long, value_name = "URL", env = "SEQLANE_RELAY", value_delimiter = ' ', hide_env_values = true)]
    relay: Vec<RelayUrl>,
    /// The URL of a node, to call it directly
    #[arg(long, value_name = "URL", env = "SEQLANE_NODE")]
    node: Option<RelayUrl>,
}

impl Route {
    /// The form that is called, and the URLs.
    pub(super) fn ends(&self) -> (Form, Vec<RelayUrl>) {
        match &self.node {
            Some(node) => (Form::Node, vec![node.clone()]),
            None => (Form::Relay, self.relay.clone()),
        }
    }
}
