//! `seqlane check`: what is wrong with each relay, in words.

mod advice;
mod diagnosis;
mod hold;
mod probe;
mod report;
mod streams;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;
use seqlane::{Form, Secret, Target};
use seqlane_tokio::exchange::{Destination, Exchanger, RelayUrl, TlsRoots};
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{info, warn};

use self::advice::Said;
use self::probe::{Probe, Tries};
use self::report::{Report, text};
use super::Console;
use super::client::{NO_KEY, Route};
use super::failure::Failure;
use super::value::{Key, Size, target};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    route: Route,
    /// The key that the relays expect (or the node, with --node). Other users of this machine can see flags:
    /// prefer the environment
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// What seals the packets of level 2, if it is not the key
    #[arg(long, value_name = "SECRET", env = "SEQLANE_SECRET", hide_env_values = true)]
    secret: Option<Key>,
    /// The relays are said to pass packets of level 2 as they are
    #[arg(long, env = "SEQLANE_BINARY")]
    binary: bool,
    /// A PEM file with certificate authorities to trust besides those of the web
    #[arg(long, value_name = "FILE", env = "SEQLANE_CA")]
    ca: Option<PathBuf>,
    /// A host and port that the node shall open for a moment; without it, no target is needed
    #[arg(long, value_name = "HOST:PORT", env = "SEQLANE_TARGET", value_parser = target)]
    target: Option<Target>,
    /// Send one request of about this size too, to see what relay and node take
    #[arg(long, value_name = "SIZE", env = "SEQLANE_BODY")]
    body: Option<Size>,
    /// The longest that a call is held, to see what the relay allows; clients want 25 s. 0s: not at all
    #[arg(long, value_name = "TIME", env = "SEQLANE_HOLD", default_value = "4s")]
    #[arg(value_parser = humantime::parse_duration)]
    hold: Duration,
    /// Calls a day that each relay allows
    #[arg(long, value_name = "N", env = "SEQLANE_DAILY_CALLS")]
    daily_calls: Option<u64>,
    /// How long a call may take beside what it is held
    #[arg(long, value_name = "TIME", env = "SEQLANE_TIMEOUT", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print one JSON document instead of the table
    #[arg(long, env = "SEQLANE_JSON")]
    json: bool,
}

/// The largest answer that a check can bring, with room to spare.
const MAX_REPLY: usize = 8 * 1024 * 1024;

/// The longest `--hold`: no node holds calls for longer.
const MAX_HOLD: Duration = Duration::from_secs(50);

/// The largest `--body`: a check keeps it in memory three times.
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// Tries every relay, all at the same time.
pub(super) async fn run(args: CheckArgs, console: &Console) -> Result<(), Failure> {
    let key = args.key.as_ref().ok_or_else(|| Failure::usage(NO_KEY))?.secret();
    if args.body.is_some_and(|size| size.0 > MAX_BODY) {
        return Err(Failure::usage("--body: must be at most 256MiB"));
    }
    if args.hold > MAX_HOLD {
        return Err(Failure::usage("--hold: must be at most 50s"));
    }
    let roots = roots(args.ca.as_deref())?;
    let (form, urls) = args.route.ends();
    let secret = args.secret.as_ref().map_or_else(|| key.clone(), Key::secret);
    let said =
        Said { form, binary: args.binary, secret: args.secret.is_some(), daily_calls: args.daily_calls };
    let tries = Tries { target: args.target.clone(), body: args.body, hold: args.hold, binary: args.binary };
    let mut checks = Vec::new();
    for url in urls {
        let probe = Probe { secret: secret.clone(), ..probe(&url, form, &key, &roots, args.timeout)? };
        let tries = tries.clone();
        let checked = tokio::spawn(async move { probe::check(&probe, tries).await });
        checks.push((url.to_string(), checked));
    }
    let mut reports = Vec::new();
    for (url, checked) in checks {
        let findings = checked.await.map_err(|error| Failure::Failed(format!("a check failed: {error}")))?;
        reports.push(Report::new(url, findings, said));
    }
    let works = reports.iter().all(Report::works);
    if args.json {
        super::print(&format!("{:#}\n", json!({ "ok": works, "relays": reports })))?;
    } else {
        super::print(&text(&reports, console))?;
    }
    if works { Ok(()) } else { Err(Failure::Reported) }
}

/// Calls each relay once, beside everything else, and logs what is wrong with it: what a client that starts
/// can tell before the first flow. Ends with the value.
pub(super) fn try_out(
    urls: &[RelayUrl],
    form: Form,
    key: &Secret,
    roots: &TlsRoots,
) -> Result<JoinSet<()>, Failure> {
    let mut calls = JoinSet::new();
    for url in urls {
        let (probe, relay) = (probe(url, form, key, roots, TRY_OUT)?, url.to_string());
        calls.spawn(async move {
            match probe::reach(&probe).await {
                Ok(_) => info!(relay, "relay works"),
                Err(problem) => {
                    warn!(relay, problem, "relay does not work (yet); `seqlane check` tells more")
                }
            }
        });
    }
    Ok(calls)
}

/// How long a relay may take before a client that starts complains.
const TRY_OUT: Duration = Duration::from_secs(30);

/// A pool for each relay, so that the first call of each opens a connection.
fn probe(
    url: &RelayUrl,
    form: Form,
    key: &Secret,
    roots: &TlsRoots,
    timeout: Duration,
) -> Result<Probe, Failure> {
    let exchanger = Exchanger::new(roots, MAX_REPLY).map_err(|error| unusable(&error))?;
    let packets = url.packet_endpoint(form).and_then(|place| Destination::of_packets(place, key).ok());
    Ok(Probe {
        exchanger,
        batches: Destination::of_batches(url.endpoint(form)),
        packets,
        form,
        key: key.clone(),
        secret: key.clone(),
        timeout,
        calls: AtomicU64::new(0),
    })
}

/// The roots of the web and those in a file.
pub(super) fn roots(ca: Option<&Path>) -> Result<TlsRoots, Failure> {
    let Some(path) = ca else { return Ok(TlsRoots::default()) };
    let pem = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("--ca: cannot read {}: {error}", path.display())))?;
    TlsRoots::with_pem(&pem).map_err(|error| unusable(&error))
}

fn unusable(error: &impl std::fmt::Display) -> Failure {
    Failure::usage(format!("--ca: {error}"))
}

const EXAMPLES: &str = "\
Examples:
  SEQLANE_KEY=cl1ent seqlane check --relay https://a.example/run --relay https://b.example/run
  SEQLANE_KEY=cl1ent seqlane check --relay https://a.example/run --target example.org:443 --body 4MiB
  SEQLANE_KEY=cl1ent seqlane check --relay https://a.example/run --secret correct-horse --hold 30s
  SEQLANE_KEY=n0de seqlane check --node http://node.example:8080 --json

Asks about sessions that do not exist, lets the node refuse a target of its own loopback, and at level 2 lets it hold
calls for a while: 6 calls a relay, 12 at level 2.
Exit codes: 0 every relay works, 1 one does not, 2 bad usage.";
