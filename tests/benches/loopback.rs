//! The whole system on loopback, level 2 beside level 1 and the figures of the deployed one:
//! `cargo bench -p seqlane-tests --bench loopback` (`-- --quick` leaves out the slow rows, `-- WORD` takes
//! the rows with that word).
//!
//! Origin, node, stand-in relay, client and application share this process and its cores. The delay is the
//! relay's round trip. The deployed figures are those of version 1.9.1 in the same kind of harness.

use std::time::{Duration, Instant};

use seqlane::Level;
use seqlane_tests::harness::{Harness, HarnessBuilder, Origin, Pattern, echo, push, read_to_end, take};
use seqlane_tokio::relay::RelayBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MB: f64 = 1e6;
const MIB: usize = 1 << 20;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    heading();
    runtime.block_on(async {
        echoes("echo p50", Path::Relay(0), 0, 400, Some(84.0)).await;
        echoes("echo p50 after 300 ms of thought", Path::Relay(0), 300, 10, None).await;
        echoes("echo p50 after 300 ms of thought", Path::Relay(100), 300, 10, Some(9_800.0)).await;
        transfers("download 64 MiB", Path::Relay(0), 64 * MIB, Way::Down, Some(35.9)).await;
        transfers("upload 16 MiB", Path::Relay(0), 16 * MIB, Way::Up, Some(0.15)).await;
        transfers("upload 128 MiB", Path::Relay(0), 128 * MIB, Way::Up, Some(0.15)).await;
        transfers("download 512 MiB", Path::Direct, 512 * MIB, Way::Down, None).await;
        transfers("upload 512 MiB", Path::Direct, 512 * MIB, Way::Up, None).await;
        if !quick {
            echoes("echo p50", Path::Relay(1500), 0, 8, Some(1_589.0)).await;
            transfers("download 10 MB", Path::Relay(1500), 10_000_000, Way::Down, Some(5.46)).await;
            transfers("upload 16 MiB", Path::Relay(1500), 16 * MIB, Way::Up, Some(0.03)).await;
            crowds(Duration::from_secs(60)).await;
        }
    });
}

/// Whether a row is to be measured: every one, or those whose title has one of the words of the command line.
fn is_wanted(title: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    words.peek().is_none() || words.any(|word| title.contains(&word))
}

/// What lies between client and node.
#[derive(Clone, Copy)]
enum Path {
    /// A relay with a round trip of so many milliseconds.
    Relay(u64),
    /// Nothing.
    Direct,
}

impl Path {
    async fn harness(self, level: Level) -> Harness {
        let harness = Harness::builder().level(level);
        let harness = match self {
            Self::Relay(delay) => harness.relay(move |relay| relay.delay(Duration::from_millis(delay))),
            // As with `--node`: packets go as they are.
            Self::Direct => harness.direct().binary(),
        };
        harness.start().await
    }

    fn title(self, name: &str) -> String {
        match self {
            Self::Relay(0) => format!("{name}, no delay"),
            Self::Relay(delay) => format!("{name}, {} s", Duration::from_millis(delay).as_secs_f64()),
            Self::Direct => format!("{name}, no relay"),
        }
    }

    const fn round_trip(self) -> Option<f64> {
        match self {
            Self::Relay(0) | Self::Direct => None,
            Self::Relay(delay) => Some(delay as f64),
        }
    }
}

/// The levels, in the order of the columns.
const LEVELS: [Level; 2] = [Level::Sequenced, Level::Streams];

/// What one level reached.
struct Measured {
    value: f64,
    note: String,
}

enum Way {
    Down,
    Up,
}

/// Echoes at every level.
async fn echoes(name: &str, path: Path, thought: u64, count: usize, deployed: Option<f64>) {
    let title = path.title(name);
    if !is_wanted(&title) {
        return;
    }
    let [one, two] = LEVELS.map(|level| path.harness(level));
    let one = echo_times(one.await, path, thought, count).await;
    let two = echo_times(two.await, path, thought, count).await;
    row(&title, "ms", [one, two], deployed);
}

/// Echoes of 32 bytes one after another over one flow, with time to think before each.
async fn echo_times(harness: Harness, path: Path, thought: u64, count: usize) -> Measured {
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    let mut times = Vec::with_capacity(count);
    for number in 0..count + 2 {
        tokio::time::sleep(Duration::from_millis(thought)).await;
        let begun = Instant::now();
        echo(&mut socket, &[7; 32]).await.expect("an echo");
        // The first ones open the flow and the connections.
        if number >= 2 {
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let calls = harness.relays[0].calls() as f64 / (count + 2) as f64;
    let trips = path.round_trip().map(|trip| format!(", {:.3} round trips", p50 / trip)).unwrap_or_default();
    Measured { value: p50, note: format!("p99 {p99:.2} ms, {calls:.1} calls an echo{trips}") }
}

/// A transfer at every level.
async fn transfers(name: &str, path: Path, len: usize, way: Way, deployed: Option<f64>) {
    let title = path.title(name);
    if !is_wanted(&title) {
        return;
    }
    let [one, two] = LEVELS.map(|level| path.harness(level));
    let one = transfer(one.await, len, &way).await;
    let two = transfer(two.await, len, &way).await;
    row(&title, "MB/s", [one, two], deployed);
}

/// One transfer over a flow that is open: from the first byte of the request to the last of the answer.
async fn transfer(harness: Harness, len: usize, way: &Way) -> Measured {
    let pattern = Pattern::new(0);
    let (down, up) = match way {
        Way::Down => (len, 1),
        Way::Up => (1, len),
    };
    let origin = Origin::serve(move |mut socket| async move {
        echo_once(&mut socket).await?;
        take(&mut socket, pattern, up).await?;
        push(&mut socket, pattern, down).await
    })
    .await;
    let mut socket = harness.connect(origin.address()).await;
    echo(&mut socket, b"open").await.expect("an echo");
    let before = calls(&harness).await;
    let begun = Instant::now();
    push(&mut socket, pattern, up).await.expect("an upload");
    take(&mut socket, pattern, down).await.expect("a download");
    let megabytes = len as f64 / MB;
    let value = megabytes / begun.elapsed().as_secs_f64();
    let calls = calls(&harness).await - before;
    Measured { value, note: format!("{calls} calls, {:.2} a MB", calls as f64 / megabytes) }
}

async fn calls(harness: &Harness) -> u64 {
    harness.client.stats().await.calls
}

async fn echo_once(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut word = [0; 4];
    socket.read_exact(&mut word).await?;
    socket.write_all(&word).await
}

/// Twenty flows through a relay that loses 5 % of the replies: how many die or bring a wrong byte.
async fn crowds(time: Duration) {
    const TITLE: &str = "flows of 20 that died, 5 % lost, 60 s";
    if !is_wanted(TITLE) {
        return;
    }
    let lossy = |level| {
        let relay = |relay: RelayBuilder| relay.delay(Duration::from_millis(100)).lose_reply(0.05).seed(1);
        Harness::builder().level(level).relay(relay)
    };
    // Both at once: they are counted and not timed.
    let [one, two] = LEVELS.map(|level| tokio::spawn(crowd(lossy(level), time)));
    let crowds = [one.await.expect("a crowd"), two.await.expect("a crowd")];
    row(TITLE, "", crowds, None);
}

async fn crowd(harness: HarnessBuilder, time: Duration) -> Measured {
    const FLOWS: usize = 20;
    let harness = harness.start().await;
    let origin = Origin::echo().await;
    let until = Instant::now() + time;
    let mut flows = JoinSet::new();
    for number in 0..FLOWS {
        let socket = harness.connect(origin.address()).await;
        flows.spawn(chat(socket, Pattern::new(number), until));
    }
    let (mut dead, mut bytes) = (0, 0);
    while let Some(flow) = flows.join_next().await {
        match flow.expect("a flow") {
            Ok(right) => bytes += right,
            Err(_) => dead += 1,
        }
    }
    let calls = harness.relays[0].calls();
    let note = format!("{:.1} MB right in flows that lived, {calls} calls", bytes as f64 / MB);
    Measured { value: f64::from(dead), note }
}

/// Sends pieces of a pattern, small and large, and takes each back before the next, until the time is over; then ends
/// in order. Says how many bytes came back, every one right.
async fn chat(mut socket: TcpStream, pattern: Pattern, until: Instant) -> std::io::Result<usize> {
    const PIECES: [usize; 4] = [10, 1_000, 20_000, 200_000];
    let mut done = 0;
    for most in PIECES.into_iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let piece = pattern.piece(done, most);
        let (mut reading, mut writing) = socket.split();
        let mut back = vec![0; piece.len()];
        let both = async { tokio::try_join!(writing.write_all(piece), reading.read_exact(&mut back)) };
        tokio::time::timeout(Duration::from_secs(30), both)
            .await
            .map_err(|_| std::io::ErrorKind::TimedOut)??;
        if back != piece {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        done += piece.len();
    }
    socket.shutdown().await?;
    let rest = read_to_end(&mut socket).await?;
    if rest.is_empty() { Ok(done) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

fn heading() {
    println!("{:<44} {:>14} {:>14} {:>14}", "loopback", "level 1", "level 2", "deployed");
}

fn row(title: &str, unit: &str, [one, two]: [Measured; 2], deployed: Option<f64>) {
    let cell = |value: f64| format!("{value:.2} {unit}");
    let deployed = deployed.map_or_else(|| "-".to_owned(), cell);
    println!("{title:<44} {:>14} {:>14} {deployed:>14}", cell(one.value), cell(two.value));
    println!("    level 1: {}", one.note);
    println!("    level 2: {}", two.note);
}
