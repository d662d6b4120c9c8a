//! The command `seqlane relay`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use seqlane_tokio::StandInRelay;
use seqlane_tokio::relay::RelayBuilder;

use super::failure::Failure;
use super::signal::Stop;
use super::value::{Key, Size, StatusProbability, probability};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RelayArgs {
    /// The address for clients; every path is accepted
    #[arg(long, value_name = "ADDR", env = "SEQLANE_LISTEN", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The URL of the node: http://, without a path
    #[arg(long, value_name = "URL", env = "SEQLANE_NODE")]
    node: String,
    /// The key that clients must have
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Key,
    /// The key of the node
    #[arg(long, value_name = "KEY", env = "SEQLANE_NODE_KEY", hide_env_values = true)]
    node_key: Key,
    /// The seed of the faults: the same seed chooses the same calls
    #[arg(long, value_name = "N", env = "SEQLANE_SEED", default_value_t = 0)]
    seed: u64,
    /// Forward raw packets of level 2, as relays on 8-bit clean platforms do
    #[arg(long, env = "SEQLANE_BINARY")]
    binary: bool,
    #[command(flatten)]
    faults: FaultArgs,
}

/// Faults of the relay.
#[derive(Args, Debug)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// Added latency per call: half on the way to the node, half on the way back
    #[arg(long, value_name = "TIME", env = "SEQLANE_DELAY", default_value = "0ms")]
    #[arg(value_parser = humantime::parse_duration)]
    delay: Duration,
    /// The largest deviation from --delay
    #[arg(long, value_name = "TIME", env = "SEQLANE_JITTER", default_value = "0ms")]
    #[arg(value_parser = humantime::parse_duration)]
    jitter: Duration,
    /// Probability that a request is lost: no answer, and it does not reach the node
    #[arg(long, value_name = "P", env = "SEQLANE_LOSE_REQUEST", default_value = "0", value_parser = probability)]
    lose_request: f64,
    /// Probability that a reply is lost: no answer, after the request was executed
    #[arg(long, value_name = "P", env = "SEQLANE_LOSE_REPLY", default_value = "0", value_parser = probability)]
    lose_reply: f64,
    /// Probability that a request is duplicated
    #[arg(long, value_name = "P", env = "SEQLANE_DUPLICATE", default_value = "0", value_parser = probability)]
    duplicate: f64,
    /// Probability that an answer is truncated
    #[arg(long, value_name = "P", env = "SEQLANE_TRUNCATE", default_value = "0", value_parser = probability)]
    truncate: f64,
    /// Probability that an answer is replaced by an HTML page
    #[arg(long, value_name = "P", env = "SEQLANE_HTML", default_value = "0", value_parser = probability)]
    html: f64,
    /// An HTTP status to answer instead, and its probability, as in 503:0.02. Repeat the flag for several
    #[arg(long, value_name = "CODE:P", env = "SEQLANE_STATUS", value_delimiter = ',')]
    status: Vec<StatusProbability>,
    /// Calls at a time, at most; more are refused with 429
    #[arg(long, value_name = "N", env = "SEQLANE_MAX_CONCURRENT")]
    max_concurrent: Option<usize>,
    /// Bytes per second in each direction, over all calls
    #[arg(long, value_name = "SIZE", env = "SEQLANE_BANDWIDTH")]
    bandwidth: Option<Size>,
    /// Strip sequence numbers, as old relays do
    #[arg(long, env = "SEQLANE_STRIP_SEQ")]
    strip_seq: bool,
    /// Answer with a redirect to a one-time URL, as hosted relays do
    #[arg(long, env = "SEQLANE_REDIRECT")]
    redirect: bool,
    /// Compress answers for callers that accept gzip, as hosted relays do
    #[arg(long, env = "SEQLANE_GZIP")]
    gzip: bool,
}

impl FaultArgs {
    fn apply(&self, relay: RelayBuilder) -> RelayBuilder {
        let mut relay = relay
            .delay(self.delay)
            .jitter(self.jitter)
            .lose_request(self.lose_request)
            .lose_reply(self.lose_reply)
            .duplicate(self.duplicate)
            .truncate(self.truncate)
            .html(self.html)
            .strip_seq(self.strip_seq)
            .redirect(self.redirect)
            .gzip(self.gzip);
        for status in &self.status {
            relay = relay.status(status.code, status.probability);
        }
        if let Some(calls) = self.max_concurrent {
            relay = relay.max_concurrent(calls);
        }
        if let Some(Size(bytes_per_second)) = self.bandwidth {
            relay = relay.bandwidth(bytes_per_second);
        }
        relay
    }
}

/// Serves until a signal comes.
pub(super) async fn run(args: RelayArgs) -> Result<(), Failure> {
    let builder = StandInRelay::builder(args.node, args.key.into_text(), args.node_key.into_text());
    let builder = args.faults.apply(builder.listen(args.listen).seed(args.seed).binary(args.binary));
    let stop = Stop::listen()?;
    let relay = builder.start().await?;
    super::announce(Some(relay.local_addr()))?;
    stop.requested().await;
    relay.shutdown().await;
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  seqlane relay --node http://127.0.0.1:8080 --key cl1ent --node-key n0de
  seqlane relay --node http://127.0.0.1:8080 --key cl1ent --node-key n0de --delay 300ms --jitter 100ms
  seqlane relay --node http://127.0.0.1:8080 --key cl1ent --node-key n0de --lose-reply 0.01 --seed 7

Prints `listening on ADDR` when it serves. SIGINT and SIGTERM finish the calls under way, then end with exit code 0.
Exit codes: 0 stopped, 1 failed (the address is taken), 2 bad usage, 130 interrupted by a second signal.";
