//! The command `seqlane demo`: all parts in one process on loopback, every byte checked.

mod conditions;
mod harness;
mod many_flows;
mod origin;
mod payload;
mod progress;
mod report;
mod socks;
mod trial;

use std::time::Instant;

use clap::Args;
use seqlane::Level;
use serde_json::json;

use self::conditions::Condition;
use self::harness::Harness;
use self::origin::Origin;
use self::payload::Payload;
use self::progress::Progress;
use self::report::{Row, table};
use self::trial::Trial;
use super::console::Console;
use super::failure::Failure;
use super::value::Size;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// Bytes of the largest transfers; smaller transfers through slow relays and at level 0
    #[arg(long, value_name = "SIZE", env = "SEQLANE_SIZE", default_value = "64MiB")]
    size: Size,
    /// The seed of the payload and the jitter
    #[arg(long, value_name = "N", env = "SEQLANE_SEED", default_value_t = 1)]
    seed: u64,
    /// Print one JSON document instead of the table
    #[arg(long, env = "SEQLANE_JSON")]
    json: bool,
}

/// The smallest `--size`: a sixteenth of it, 4 KiB, is more than the lines of a ping.
const MIN_SIZE: u64 = 64 * 1024;

/// The largest `--size`: the payload and a copy are in memory.
const MAX_SIZE: u64 = 1024 * 1024 * 1024;

/// Runs every trial and prints the results.
pub(super) async fn run(args: DemoArgs, console: &Console) -> Result<(), Failure> {
    if !(MIN_SIZE..=MAX_SIZE).contains(&args.size.0) {
        return Err(Failure::usage("--size: must be 64KiB to 1GiB"));
    }
    let started = Instant::now();
    let payload = Payload::new(args.seed, args.size.as_len());
    let mut rows = Vec::new();
    for condition in Condition::ALL {
        for level in [Level::Legacy, Level::Sequenced, Level::Streams] {
            rows.extend(measure(level, condition, &payload, &args).await?);
        }
    }
    let whole = rows.iter().all(Row::is_right);
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        let document = json!({ "ok": whole, "seconds": seconds, "seed": args.seed, "rows": rows });
        super::print(&format!("{document:#}\n"))?;
    } else {
        super::print(&format!("{}\n{}\n", table(&rows, console), summary(&rows, seconds)))?;
    }
    if whole { Ok(()) } else { Err(Failure::Reported) }
}

/// The trials of one level under one condition, one after the other.
async fn measure(
    level: Level,
    condition: Condition,
    payload: &Payload,
    args: &DemoArgs,
) -> Result<Vec<Row>, Failure> {
    let origin = Origin::start(payload.clone())
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on loopback: {error}")))?;
    let mut harness = Harness::start(level, condition, args.seed).await?;
    let mut rows = Vec::new();
    for &direction in condition.directions() {
        let bytes = trial::size(direction, level, condition, payload.len());
        let label = format!("{level}, {}: {}", condition.name(), direction.name());
        let progress = Progress::start(&label, bytes);
        let trial = Trial { harness: &harness, origin: origin.address(), payload, progress: &progress };
        let mut outcome = trial.run(direction, bytes).await;
        if let Some(other) = harness.other_level(level) {
            outcome = outcome.and(Err(format!("a flow used {other}")));
        }
        progress.finish(outcome.as_ref().map(|measured| measured.seconds).map_err(String::as_str));
        rows.push(Row::new(level, condition, direction, bytes, outcome));
    }
    harness.stop().await;
    Ok(rows)
}

/// The explanation of the table, and the failures.
fn summary(rows: &[Row], seconds: f64) -> String {
    let bytes: usize = rows.iter().map(Row::checked_bytes).sum();
    let mut text = format!(
        "\
Seconds run from the application's connect to the last byte; a ping is a line and its echo on an open flow.
Round trips are seconds divided by the mean latency of the relays. MB are 10^6 bytes. Calls are HTTP requests to a
relay. 20 echoes are flows of 40 lines each. A lost call resets the flows of levels 0 and 1 in it; at level 2 it resets
none.
{:.1} MB checked in {seconds:.0} s.",
        bytes as f64 / 1e6
    );
    for row in rows {
        if let Some(failure) = row.failure() {
            text.push_str(&format!("\nFAILED: {failure}"));
        }
    }
    text
}

const EXAMPLES: &str = "\
Examples:
  seqlane demo
  seqlane demo --size 8MiB
  seqlane demo --json > demo.json

Starts an origin server, a node, relays and a client in one process on loopback. Transfers bytes through SOCKS5 at levels
0, 1 and 2, through relays without latency, with a latency of 300 ms, and with two latencies that reorder calls, and
checks every byte. Then runs 20 flows at once through a relay that loses calls: this resets flows at levels 0 and 1, and
none at level 2.
Exit codes: 0 every required byte arrived, 1 one did not (the rows show which), 2 bad usage.";
