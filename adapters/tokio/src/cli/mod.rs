//! The command line.

mod check;
mod client;
mod console;
mod demo;
mod failure;
mod keygen;
mod log;
mod node;
mod relay;
mod route;
mod signal;
mod sources;
mod users;
mod value;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;

use clap::{Parser, Subcommand};

use self::console::Console;
use self::failure::Failure;

/// Carries many TCP and UDP flows over batched HTTP relays that reorder, lose, duplicate, delay and truncate.
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
    /// Run origin, node, relays and client on this machine and check every byte
    Demo(demo::DemoArgs),
    /// Run a node: open the targets of flows
    Node(node::NodeArgs),
    /// Run a client: offer SOCKS5 and HTTP CONNECT to applications
    Client(client::ClientArgs),
    /// Run a stand-in for a hosted relay, with configurable faults
    Relay(relay::RelayArgs),
    /// Test each relay end to end and report what is wrong
    Check(check::CheckArgs),
    /// Print a new key or secret
    Keygen(keygen::KeygenArgs),
}

/// Reads the command line and runs its command.
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
            Command::Keygen(_) => keygen::run(),
        }
    });
    // A name that is still being resolved must not delay the end.
    runtime.shutdown_background();
    result
}

/// Prints the address of a listener, with the real port.
fn announce(address: Option<SocketAddr>) -> Result<(), Failure> {
    match address {
        Some(address) => print(&format!("listening on {address}\n")),
        None => Ok(()),
    }
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
Exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted by a second signal.";
