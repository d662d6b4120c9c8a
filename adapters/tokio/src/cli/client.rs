//! The command `seqlane client`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use seqlane::{Balance, ClientOptions, Form, Level, OpenMode, Secret};
use seqlane_tokio::exchange::RelayUrl;
use seqlane_tokio::proxy::Credentials;
use seqlane_tokio::{Client, Relay};
use tracing::warn;

use super::check;
use super::failure::Failure;
use super::route::{NO_KEY, Route};
use super::signal::Stop;
use super::value::{Key, bytes, level};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClientArgs {
    /// The address for applications: SOCKS5 and HTTP CONNECT on one port
    #[arg(long, value_name = "ADDR", env = "SEQLANE_LISTEN", default_value = "127.0.0.1:1080")]
    listen: SocketAddr,
    #[command(flatten)]
    route: Route,
    /// The key that the relays expect (or the node, with --node). Other users of this machine can see flags:
    /// prefer the environment
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// The secret that seals the packets of level 2. The node has the same, and no relay should. Default: none; then
    /// relays can read and change everything
    #[arg(long, value_name = "SECRET", env = "SEQLANE_SECRET", hide_env_values = true)]
    secret: Option<Key>,
    /// The relays are 8-bit clean: send packets of level 2 without JSON and base64
    #[arg(long, env = "SEQLANE_BINARY")]
    binary: bool,
    /// The highest level to use: 0, 1 or 2
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_LEVEL", default_value = "2", value_parser = level)]
    max_level: Level,
    /// The lowest level to use: flows that cannot have it are refused. Default: 2 with a secret, so that nothing that a
    /// relay answers makes this client send in clear; otherwise 0
    #[arg(long, value_name = "N", env = "SEQLANE_MIN_LEVEL", value_parser = level)]
    min_level: Option<Level>,
    /// Data ops in flight per flow, at most
    #[arg(long, value_name = "N", env = "SEQLANE_DEPTH", default_value_t = 8)]
    depth: usize,
    /// When an application learns that its flow is open
    #[arg(long, value_name = "WHEN", env = "SEQLANE_OPEN", default_value = "optimistic", value_enum)]
    open: Open,
    /// How calls are distributed over relays
    #[arg(long, value_name = "HOW", env = "SEQLANE_BALANCE", default_value = "fastest", value_enum)]
    balance: Spread,
    /// The user name that applications must give, by SOCKS5 and HTTP alike
    #[arg(long, value_name = "USER", env = "SEQLANE_SOCKS_USER", requires = "socks_password")]
    socks_user: Option<String>,
    /// The password that applications must give
    #[arg(long, value_name = "PASSWORD", env = "SEQLANE_SOCKS_PASSWORD", requires = "socks_user")]
    #[arg(hide_env_values = true)]
    socks_password: Option<Key>,
    /// A PEM file with certificate authorities to trust besides those of the web
    #[arg(long, value_name = "FILE", env = "SEQLANE_CA")]
    ca: Option<PathBuf>,
    /// Calls a day that each relay allows; hosted relays allow about 20000
    #[arg(long, value_name = "N", env = "SEQLANE_DAILY_CALLS")]
    daily_calls: Option<u64>,
    /// Calls in flight per relay, at most
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_CONCURRENT", default_value_t = 30)]
    max_concurrent: usize,
    /// Largest request body; deployed nodes refuse those above 2 MiB
    #[arg(long, value_name = "SIZE", env = "SEQLANE_MAX_BODY", default_value = "2044KiB")]
    #[arg(value_parser = bytes)]
    max_body: usize,
    /// Flows at a time
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_STREAMS", default_value_t = 4096)]
    max_streams: usize,
    /// How long a node may be silent while another one answers, before its flows end
    #[arg(long, value_name = "TIME", env = "SEQLANE_DEAD_NODE", default_value = "60s")]
    #[arg(value_parser = humantime::parse_duration)]
    dead_node: Duration,
    /// The deadline of a call; calls with sequence numbers get at least 60 s
    #[arg(long, value_name = "TIME", env = "SEQLANE_REQUEST_TIMEOUT", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// The longest wait for flows to end by themselves when stopping
    #[arg(long, value_name = "TIME", env = "SEQLANE_DRAIN", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Record every event in a new file, for `seqlane-sim replay`. The file holds all traffic in clear text; keep it
    /// private. Keys and secrets are left out
    #[arg(long, value_name = "FILE", env = "SEQLANE_RECORD")]
    record: Option<PathBuf>,
}

/// When an application learns that its flow is open.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Open {
    /// At once: its first bytes go with the open, and a failure shows as a reset.
    Optimistic,
    /// When the target is connected: a failure is reported with its reason.
    Confirmed,
}

/// How calls are distributed over relays.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spread {
    /// To the relay that should answer first.
    Fastest,
    /// To each in turn.
    RoundRobin,
}

impl ClientArgs {
    fn relays(&self, form: Form, urls: &[RelayUrl], key: &Secret) -> Vec<Relay> {
        let relay = |url: &RelayUrl| {
            let relay = match form {
                Form::Relay => Relay::new(url.clone(), key.clone()).binary(self.binary),
                Form::Node => Relay::direct(url.clone(), key.clone()),
            };
            relay.max_concurrent(self.max_concurrent).max_body(self.max_body).daily_calls(self.daily_calls)
        };
        urls.iter().map(relay).collect()
    }

    fn options(&self, options: ClientOptions) -> ClientOptions {
        options
            .max_level(self.max_level)
            .min_level(self.min_level)
            .secret(self.secret.as_ref().map(Key::secret))
            .max_depth(self.depth)
            .max_flows(self.max_streams)
            .request_timeout(self.request_timeout)
            .dead_node(self.dead_node)
            .open(match self.open {
                Open::Optimistic => OpenMode::Optimistic,
                Open::Confirmed => OpenMode::Confirmed,
            })
            .balance(match self.balance {
                Spread::Fastest => Balance::Fastest,
                Spread::RoundRobin => Balance::RoundRobin,
            })
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let (Some(user), Some(password)) = (&self.socks_user, &self.socks_password) else {
            return Ok(None);
        };
        Credentials::new(user, password.as_str())
            .map(Some)
            .map_err(|error| Failure::usage(format!("--socks-user, --socks-password: {error}")))
    }
}

/// Serves until a signal comes.
pub(super) async fn run(args: ClientArgs) -> Result<(), Failure> {
    let (form, urls) = args.route.ends();
    let key = args.key.as_ref().ok_or_else(|| Failure::usage(NO_KEY))?.secret();
    let secret = args
        .secret
        .as_ref()
        .map(Key::secret)
        .filter(|_| args.min_level.is_none_or(|level| level == Level::Streams));
    let roots = check::roots(args.ca.as_deref())?;
    let credentials = args.credentials()?;
    let is_open = credentials.is_none();
    let mut builder = Client::builder()
        .options(|options| args.options(options))
        .tls_roots(roots.clone())
        .socks(args.listen)
        .drain(args.drain);
    for relay in args.relays(form, &urls, &key) {
        builder = builder.relay(relay);
    }
    if let Some(credentials) = credentials {
        builder = builder.credentials(credentials);
    }
    if let Some(path) = args.record {
        builder = builder.record(path);
    }
    let stop = Stop::listen()?;
    let client = builder.start().await?;
    if is_open && !args.listen.ip().is_loopback() {
        warn!("everybody who can reach this port can use the proxy; set --socks-user and --socks-password");
    }
    if args.max_level == Level::Streams && args.secret.is_none() && form == Form::Relay {
        warn!(
            "not sealed: relays can read and change everything. Give client and node the same --secret (`seqlane keygen` \
             makes one)"
        );
    }
    super::announce(client.local_addr())?;
    // A wrong key or URL is reported before the first flow.
    let _testing = check::test_relays(&urls, form, (&key, secret.as_ref()), &roots)?;
    stop.requested().await;
    client.shutdown().await;
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  SEQLANE_KEY=cl1ent seqlane client --relay https://relay.example/run
  SEQLANE_KEY=cl1ent seqlane client --relay https://a.example/run --relay https://b.example/run -v
  SEQLANE_KEY=n0de seqlane client --node http://node.example:8080 --open confirmed
  curl --proxy socks5h://127.0.0.1:1080 https://example.org/

Prints `listening on ADDR` when it serves, and calls each relay once to warn about those that do not work. SIGINT and
SIGTERM let flows finish, then end with exit code 0.
Exit codes: 0 stopped, 1 failed (the address is taken), 2 bad usage, 130 interrupted by a second signal.";
