//! The command `seqlane node`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use seqlane::{Level, NodeOptions};
use seqlane_tokio::Node;
use tracing::warn;

use super::failure::Failure;
use super::signal::Stop;
use super::users::UsersFile;
use super::value::{Key, bytes, level};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct NodeArgs {
    /// The address for relays and clients, in plain HTTP; PORT=N means 0.0.0.0:N
    #[arg(long, value_name = "ADDR", env = "SEQLANE_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// The key that relays and clients must have; TUNNEL_AUTH_KEY sets it too. Other users of this machine can see
    /// flags: prefer the environment
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// The secret that seals the packets of level 2. Clients have the same, and no relay should. Default: none; then
    /// relays can read and change everything
    #[arg(long, value_name = "SECRET", env = "SEQLANE_SECRET", hide_env_values = true)]
    secret: Option<Key>,
    /// A file of users, each with a secret, limits and targets of its own. It is read again when it changes, and on SIGHUP
    #[arg(long, value_name = "FILE", env = "SEQLANE_USERS")]
    users: Option<PathBuf>,
    /// Allow targets in loopback, private, link-local and other special ranges
    #[arg(long, env = "SEQLANE_ALLOW_PRIVATE")]
    allow_private: bool,
    /// The highest level to offer: 0, 1 or 2
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_LEVEL", default_value = "2", value_parser = level)]
    max_level: Level,
    /// The lowest level to take: ops of lower levels get an error. Default: 2 with a secret or users, so that who has the
    /// key alone can do nothing; otherwise 0
    #[arg(long, value_name = "N", env = "SEQLANE_MIN_LEVEL", value_parser = level)]
    min_level: Option<Level>,
    /// Answer a wrong key with an error instead of the page of an ordinary web server
    #[arg(long, env = "SEQLANE_DIAGNOSTIC")]
    diagnostic: bool,
    /// Largest request body, compressed and inflated
    #[arg(long, value_name = "SIZE", env = "SEQLANE_MAX_BODY", default_value = "16MiB", value_parser = bytes)]
    max_body: usize,
    /// Sessions at a time
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_SESSIONS", default_value_t = 4096)]
    max_sessions: usize,
    /// Requests held at a time
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_REQUESTS", default_value_t = 1024)]
    max_requests: usize,
    /// HTTP connections at a time
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_CONNECTIONS", default_value_t = 1024)]
    max_connections: usize,
    /// Downlink bytes buffered per session, at most; reading from its target pauses there
    #[arg(long, value_name = "SIZE", env = "SEQLANE_SESSION_BUFFER", default_value = "16MiB")]
    #[arg(value_parser = bytes)]
    session_buffer: usize,
    /// Downlink bytes buffered over all sessions, beyond the first 64 KiB of each
    #[arg(long, value_name = "SIZE", env = "SEQLANE_TOTAL_BUFFER", default_value = "512MiB")]
    #[arg(value_parser = bytes)]
    total_buffer: usize,
    /// The longest wait for answers to be fetched and for bytes to reach their targets when stopping
    #[arg(long, value_name = "TIME", env = "SEQLANE_DRAIN", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Record every event in a new file, for `seqlane-sim replay`. The file holds all traffic in clear text; keep it
    /// private. Keys and secrets are left out
    #[arg(long, value_name = "FILE", env = "SEQLANE_RECORD")]
    record: Option<PathBuf>,
}

impl NodeArgs {
    fn options(&self, options: NodeOptions) -> NodeOptions {
        options
            .max_level(self.max_level)
            .min_level(self.min_level)
            .secret(self.secret.as_ref().map(Key::secret))
            .diagnostic(self.diagnostic)
            .max_body(self.max_body)
            .max_sessions(self.max_sessions)
            .max_requests(self.max_requests)
            .session_buffer(self.session_buffer)
            .total_buffer(self.total_buffer)
    }
}

/// Serves until a signal comes.
pub(super) async fn run(args: NodeArgs) -> Result<(), Failure> {
    let key = args.key.as_ref().ok_or_else(|| Failure::usage(NO_KEY))?.secret();
    let mut builder = Node::builder(key)
        .options(|options| args.options(options))
        .listen(args.listen)
        .allow_private(args.allow_private)
        .max_connections(args.max_connections)
        .drain(args.drain);
    if let Some(path) = args.record {
        builder = builder.record(path);
    }
    let users = match args.users.map(UsersFile::open).transpose()? {
        Some((file, users)) => {
            builder = builder.users(users);
            Some(file)
        }
        None => None,
    };
    let stop = Stop::listen()?;
    let node = builder.start().await?;
    if args.allow_private && !args.listen.ip().is_loopback() {
        warn!("everybody with the key can reach the private network of this machine (--allow-private)");
    }
    if args.max_level == Level::Streams && args.secret.is_none() && users.is_none() {
        warn!(
            "not sealed: relays can read and change everything. Give node and clients the same --secret (`seqlane keygen` \
             makes one)"
        );
    }
    super::announce(node.local_addr())?;
    match users {
        Some(users) => tokio::select! {
            () = stop.requested() => {}
            never = users.watch(&node) => match never {},
        },
        None => stop.requested().await,
    }
    node.shutdown().await;
    Ok(())
}

const NO_KEY: &str = "the node needs a key: set SEQLANE_KEY or TUNNEL_AUTH_KEY, or give --key KEY";

const EXAMPLES: &str = "\
Examples:
  SEQLANE_KEY=n0de seqlane node
  PORT=9000 TUNNEL_AUTH_KEY=n0de seqlane node -v
  SEQLANE_KEY=n0de seqlane node --listen 127.0.0.1:0 --allow-private
  SEQLANE_KEY=n0de seqlane node --users /etc/seqlane/users.toml

Prints `listening on ADDR` when it serves. SIGINT and SIGTERM answer held requests, then end with exit code 0.
Exit codes: 0 stopped, 1 failed (the address is taken), 2 bad usage, 130 interrupted by a second signal.";
