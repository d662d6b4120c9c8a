//! `seqlane client`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use seqlane::{Balance, ClientOptions, Form, Level, OpenMode, RelayOptions, Secret};
use seqlane_tokio::ProxyClient;
use seqlane_tokio::exchange::RelayUrl;
use seqlane_tokio::proxy::Credentials;
use tracing::warn;

use super::check;
use super::failure::Failure;
use super::signal::Stop;
use super::value::{Key, bytes, level};

/// Whom to call: relays, or a node with no relay between.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Route {
    /// The URL of a relay; give several flags for several relays
    #[arg(long, value_name = "URL", env = "SEQLANE_RELAY", value_delimiter = ' ', hide_env_values = true)]
    relay: Vec<RelayUrl>,
    /// The URL of a node, to speak to it with no relay between
    #[arg(long, value_name = "URL", env = "SEQLANE_NODE")]
    node: Option<RelayUrl>,
}

impl Route {
    /// The form that the far end takes, and where it is.
    pub(super) fn ends(&self) -> (Form, Vec<RelayUrl>) {
        match &self.node {
            Some(node) => (Form::Node, vec![node.clone()]),
            None => (Form::Relay, self.relay.clone()),
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClientArgs {
    /// Where to listen for applications: SOCKS5 and HTTP CONNECT on the one port
    #[arg(long, value_name = "ADDR", env = "SEQLANE_LISTEN", default_value = "127.0.0.1:1080")]
    listen: SocketAddr,
    #[command(flatten)]
    route: Route,
    /// The key that the relays expect (or the node, with --node). Other users of this machine can see flags:
    /// prefer the environment
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// What seals the packets of level 2: the node has the same, and no relay should. Without it, the key does
    #[arg(long, value_name = "SECRET", env = "SEQLANE_SECRET", hide_env_values = true)]
    secret: Option<Key>,
    /// The relays keep all 8 bits: packets of level 2 go through them as they are, without JSON and base64
    #[arg(long, env = "SEQLANE_BINARY")]
    binary: bool,
    /// The highest level to speak: 0, 1 or 2
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_LEVEL", default_value = "2", value_parser = level)]
    max_level: Level,
    /// Data ops in flight per flow, at most
    #[arg(long, value_name = "N", env = "SEQLANE_DEPTH", default_value_t = 8)]
    depth: usize,
    /// When an application is told that its flow is open
    #[arg(long, value_name = "WHEN", env = "SEQLANE_OPEN", default_value = "optimistic", value_enum)]
    open: Open,
    /// How calls spread over relays
    #[arg(long, value_name = "HOW", env = "SEQLANE_BALANCE", default_value = "fastest", value_enum)]
    balance: Spread,
    /// The user name that applications must show, by SOCKS5 and HTTP alike
    #[arg(long, value_name = "USER", env = "SEQLANE_SOCKS_USER", requires = "socks_password")]
    socks_user: Option<String>,
    /// The password that applications must show
    #[arg(long, value_name = "PASSWORD", env = "SEQLANE_SOCKS_PASSWORD", requires = "socks_user")]
    #[arg(hide_env_values = true)]
    socks_password: Option<Key>,
    /// A PEM file with certificate authorities to trust besides those of the web
    #[arg(long, value_name = "FILE", env = "SEQLANE_CA")]
    ca: Option<PathBuf>,
    /// Calls a day that each relay allows; hosted relays have about 20000
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
    /// How long a call may take; calls with sequence numbers get at least 60 s
    #[arg(long, value_name = "TIME", env = "SEQLANE_REQUEST_TIMEOUT", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// How long stopping may wait for flows to end by themselves
    #[arg(long, value_name = "TIME", env = "SEQLANE_DRAIN", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Write everything that happens to a new file, for `seqlane-sim replay`. It has in it WHATEVER IS CARRIED, readable:
    /// keep it to yourself. Keys and secrets are left out
    #[arg(long, value_name = "FILE", env = "SEQLANE_RECORD")]
    record: Option<PathBuf>,
}

/// When an application is told that its flow is open.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Open {
    /// At once: its first bytes ride with the open, and a failure shows as a reset.
    Optimistic,
    /// When the target is connected: a failure has its reason.
    Confirmed,
}

/// How calls spread over relays.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spread {
    /// To the relay that should answer first.
    Fastest,
    /// To each in turn.
    RoundRobin,
}

impl ClientArgs {
    fn options(&self, key: &Secret, form: Form, urls: &[RelayUrl]) -> ClientOptions {
        let relay = RelayOptions::new(key.clone())
            .form(form)
            .binary(is_binary(form, urls, self.binary))
            .max_concurrent(self.max_concurrent)
            .daily_calls(self.daily_calls)
            .max_body(self.max_body);
        ClientOptions::new(vec![relay; urls.len()])
            .max_level(self.max_level)
            .secret(self.secret.as_ref().map(Key::secret))
            .max_depth(self.depth)
            .max_flows(self.max_streams)
            .request_timeout(self.request_timeout)
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

/// Whether packets go as they are: to a node that is called itself always, wherever it has a place for them.
pub(super) fn is_binary(form: Form, urls: &[RelayUrl], relays_are: bool) -> bool {
    match form {
        Form::Relay => relays_are,
        Form::Node => urls.iter().all(|url| url.packet_endpoint(form).is_some()),
    }
}

/// Serves until a signal comes.
pub(super) async fn run(args: ClientArgs) -> Result<(), Failure> {
    let (form, urls) = args.route.ends();
    let key = args.key.as_ref().ok_or_else(|| Failure::usage(NO_KEY))?.secret();
    let options = args.options(&key, form, &urls);
    let roots = check::roots(args.ca.as_deref())?;
    let credentials = args.credentials()?;
    let is_open = credentials.is_none();
    let mut builder = ProxyClient::builder(options, urls.clone())
        .tls_roots(roots.clone())
        .listen(args.listen)
        .shutdown_grace(args.drain);
    if let Some(credentials) = credentials {
        builder = builder.credentials(credentials);
    }
    if let Some(path) = args.record {
        builder = builder.record(path);
    }
    let stop = Stop::listen()?;
    let client = builder.start().await?;
    if is_open && !client.local_addr().ip().is_loopback() {
        warn!("everybody who reaches this port may use the proxy; see --socks-user and --socks-password");
    }
    if args.max_level == Level::Streams && args.secret.is_none() && form == Form::Relay {
        warn!(
            "without --secret the key seals the packets of level 2, which keeps out everybody but the relays, \
             and the node's key must be the same"
        );
    }
    super::announce(client.local_addr())?;
    // So that a wrong key or URL shows before the first flow does.
    let _trying = check::try_out(&urls, form, &key, &roots)?;
    stop.requested().await;
    client.shutdown().await;
    Ok(())
}

pub(super) const NO_KEY: &str =
    "a key is needed, the one that the relay (or node) expects: set SEQLANE_KEY, or give --key KEY";

const EXAMPLES: &str = "\
Examples:
  SEQLANE_KEY=cl1ent seqlane client --relay https://relay.example/run
  SEQLANE_KEY=cl1ent seqlane client --relay https://a.example/run --relay https://b.example/run -v
  SEQLANE_KEY=n0de seqlane client --node http://node.example:8080 --open confirmed
  curl --proxy socks5h://127.0.0.1:1080 https://example.org/

Prints `listening on ADDR` when it serves, and calls each relay once to warn about what does not work. SIGINT and SIGTERM let flows finish, then end with exit code 0.
Exit codes: 0 stopped, 1 failed (the address is taken), 2 bad usage, 130 cut short by a second signal.";
