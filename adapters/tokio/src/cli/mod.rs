//! The command line: what can be asked, and who does it.

mod check;
mod client;
mod demo;
mod failure;
mod log;
mod node;
mod relay;
mod signal;
mod sources;
mod value;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use self::failure::Failure;
use self::log::LogFormat;

/// Carries many TCP and UDP flows over batched HTTP relays that reorder, lose, double, delay and cut.
#[derive(Debug, Parser)]
#[command(name = "seqlane", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    console: Console,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it all on this machine: origin, node, relays and client, every byte checked
    Demo(demo::DemoArgs),
    /// Open real sockets for clients: the far end
    Node(node::NodeArgs),
    /// Offer SOCKS5 and HTTP CONNECT to applications: the near end
    Client(client::ClientArgs),
    /// Stand in for a hosted relay, with faults as wanted
    Relay(relay::RelayArgs),
    /// Try each relay end to end and say what is wrong
    Check(check::CheckArgs),
}

/// What every command takes.
#[derive(Args, Debug)]
struct Console {
    /// Log more: -v every flow and every change of a relay, -vv every call, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Console")]
    verbose: u8,
    /// The form of log lines on the standard error
    #[arg(long, global = true, value_name = "FORM", default_value = "text", value_enum)]
    #[arg(env = "SEQLANE_LOG_FORMAT", help_heading = "Console")]
    log_format: LogFormat,
    /// No colours, as with NO_COLOR set; there are none anyway where the output is no terminal
    #[arg(long, global = true, help_heading = "Console")]
    no_color: bool,
    /// A TOML file with values for flags, named like them; flags and environment win over it
    #[arg(long, global = true, value_name = "FILE", env = "SEQLANE_CONFIG", help_heading = "Console")]
    config: Option<PathBuf>,
}

impl Console {
    /// Whether to use colours on an output that is, or is not, a terminal. <https://no-color.org>
    fn colour(&self, is_terminal: bool) -> bool {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        is_terminal && !self.no_color && !unwanted
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let Cli { command, console } = sources::read(arguments.collect())?;
    log::start(&console);
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(args, &console).await,
            Command::Node(args) => node::run(args).await,
            Command::Client(args) => client::run(args).await,
            Command::Relay(args) => relay::run(args).await,
            Command::Check(args) => check::run(args, &console).await,
        }
    });
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Tells whoever started a listener where it is, with the real port.
fn announce(address: SocketAddr) -> Result<(), Failure> {
    print(&format!("listening on {address}\n"))
}

/// Prints to the standard output at once.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| Failure::output(&error))
}

const EXAMPLES: &str = "\
Examples:
  seqlane demo
  SEQLANE_KEY=n0de seqlane node --listen 0.0.0.0:8080
  SEQLANE_KEY=cl1ent seqlane client --relay https://relay.example/run --listen 127.0.0.1:1080
  SEQLANE_KEY=cl1ent seqlane check --relay https://relay.example/run

Every flag can also be set by an environment variable, named with each flag, or in a file (--config).
Exit codes: 0 done, 1 failed, 2 bad usage, 130 cut short by a second signal.";
