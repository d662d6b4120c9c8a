//! The command `seqlane check`: tests of each relay.

mod advice;
mod calls;
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

use self::advice::Settings;
use self::calls::RelayCalls;
use self::probe::OptionalTests;
use self::report::{Report, text};
use super::console::Console;
use super::failure::Failure;
use super::route::{NO_KEY, Route};
use super::value::{Key, Size};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    route: Route,
    /// The key that the relays expect (or the node, with --node). Other users of this machine can see flags:
    /// prefer the environment
    #[arg(long, value_name = "KEY", env = "SEQLANE_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// The secret that seals the packets of level 2, if the node has one
    #[arg(long, value_name = "SECRET", env = "SEQLANE_SECRET", hide_env_values = true)]
    secret: Option<Key>,
    /// The relays should be 8-bit clean: test that raw packets of level 2 pass
    #[arg(long, env = "SEQLANE_BINARY")]
    binary: bool,
    /// A PEM file with certificate authorities to trust besides those of the web
    #[arg(long, value_name = "FILE", env = "SEQLANE_CA")]
    ca: Option<PathBuf>,
    /// A target that the node opens for a moment
    #[arg(long, value_name = "HOST:PORT", env = "SEQLANE_TARGET", value_parser = clap::value_parser!(Target))]
    target: Option<Target>,
    /// Also send one request of about this size, to test the limits of relay and node
    #[arg(long, value_name = "SIZE", env = "SEQLANE_BODY")]
    body: Option<Size>,
    /// The longest hold to test; clients hold calls for 25 s. 0s tests none
    #[arg(long, value_name = "TIME", env = "SEQLANE_HOLD", default_value = "4s")]
    #[arg(value_parser = humantime::parse_duration)]
    hold: Duration,
    /// Calls a day that each relay allows
    #[arg(long, value_name = "N", env = "SEQLANE_DAILY_CALLS")]
    daily_calls: Option<u64>,
    /// The deadline of a call, beyond its hold
    #[arg(long, value_name = "TIME", env = "SEQLANE_TIMEOUT", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print one JSON document instead of the table
    #[arg(long, env = "SEQLANE_JSON")]
    json: bool,
}

/// More than the largest answer of a check.
const MAX_REPLY: usize = 8 * 1024 * 1024;

/// The longest `--hold`: no node holds calls for longer.
const MAX_HOLD: Duration = Duration::from_secs(50);

/// The largest `--body`: a check has three copies in memory.
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// Tests every relay, all at the same time.
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
    let secret = args.secret.as_ref().map(Key::secret);
    let settings =
        Settings { form, binary: args.binary, secret: args.secret.is_some(), daily_calls: args.daily_calls };
    let optional =
        OptionalTests { target: args.target.clone(), body: args.body, hold: args.hold, binary: args.binary };
    let mut checks = Vec::new();
    for url in urls {
        let calls = calls(&url, form, (&key, secret.as_ref()), &roots, args.timeout)?;
        let optional = optional.clone();
        let checked = tokio::spawn(async move { probe::check(&calls, optional).await });
        checks.push((url.to_string(), checked));
    }
    let mut reports = Vec::new();
    for (url, checked) in checks {
        let findings = checked.await.map_err(|error| Failure::Failed(format!("a check failed: {error}")))?;
        reports.push(Report::new(url, findings, settings));
    }
    let works = reports.iter().all(Report::works);
    if args.json {
        super::print(&format!("{:#}\n", json!({ "ok": works, "relays": reports })))?;
    } else {
        super::print(&text(&reports, console))?;
    }
    if works { Ok(()) } else { Err(Failure::Reported) }
}

/// Calls each relay once in the background and logs its problems, before a client has its first flow. The calls end
/// when the value is dropped.
pub(super) fn test_relays(
    urls: &[RelayUrl],
    form: Form,
    secrets: (&Secret, Option<&Secret>),
    roots: &TlsRoots,
) -> Result<JoinSet<()>, Failure> {
    let mut tests = JoinSet::new();
    for url in urls {
        let (calls, relay) = (calls(url, form, secrets, roots, TEST_DEADLINE)?, url.to_string());
        tests.spawn(async move {
            match probe::reach(&calls).await {
                Ok(()) => info!(relay, "relay works"),
                Err(problem) => {
                    warn!(relay, problem, "relay does not work; `seqlane check` has details")
                }
            }
        });
    }
    Ok(tests)
}

/// The deadline of the test at the start of a client.
const TEST_DEADLINE: Duration = Duration::from_secs(30);

/// The calls to a relay, with a connection pool of their own, so that the first opens a connection. The second secret is
/// the one that flows must be sealed with, if there is one; the empty one stands for none.
fn calls(
    url: &RelayUrl,
    form: Form,
    (key, secret): (&Secret, Option<&Secret>),
    roots: &TlsRoots,
    timeout: Duration,
) -> Result<RelayCalls, Failure> {
    let exchanger = Exchanger::new(roots, MAX_REPLY).map_err(|error| unusable(&error))?;
    let packets = url.packet_endpoint(form).and_then(|uri| Destination::of_packets(uri, key).ok());
    Ok(RelayCalls {
        exchanger,
        batches: Destination::of_batches(url.endpoint(form)),
        packets,
        form,
        key: key.clone(),
        secret: secret.cloned().unwrap_or_else(|| Secret::new("")),
        sealed: secret.is_some(),
        timeout,
        made: AtomicU64::new(0),
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
  SEQLANE_KEY=cl1ent seqlane check --relay https://a.example/run --hold 30s
  SEQLANE_KEY=n0de seqlane check --node http://node.example:8080 --json

Polls sessions that do not exist, asks the node for a target on its own loopback, which it should reject, and at level 2
lets it hold calls: 6 calls per relay, 12 at level 2.
Exit codes: 0 every relay works, 1 one does not, 2 bad usage.";
