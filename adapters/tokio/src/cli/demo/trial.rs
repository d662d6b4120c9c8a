//! One transfer, timed and checked.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seqlane::Level;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::conditions::{Condition, Direction};
use super::harness::Harness;
use super::many_flows;
use super::payload::{Payload, fingerprint};
use super::progress::Progress;
use super::socks;

/// The bytes of a transfer of at most `largest`: so many that the open of the flow does not matter, and so
/// few that the transfer is short.
pub(super) const fn size(direction: Direction, level: Level, condition: Condition, largest: usize) -> usize {
    match (direction, level, condition) {
        (Direction::Ping, _, _) => PING.len(),
        (Direction::ManyFlows, _, _) => many_flows::BYTES,
        // One op in flight, and each is held for 350 ms.
        (Direction::Upload, Level::Legacy, _) => largest / 16,
        (_, _, Condition::Direct) => largest,
        (_, _, Condition::Slow | Condition::Reordering | Condition::Losing) => largest / 2,
    }
}

/// Measurements of a transfer whose bytes were right.
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) calls: f64,
    /// Of the bytes; empty where they were compared directly.
    pub(super) sha256: String,
    /// Flows that finished, and all flows.
    pub(super) flows: (usize, usize),
}

/// One transfer through the harness.
pub(super) struct Trial<'a> {
    pub(super) harness: &'a Harness,
    pub(super) origin: SocketAddr,
    pub(super) payload: &'a Payload,
    pub(super) progress: &'a Progress,
}

impl Trial<'_> {
    /// Transfers the bytes and checks them.
    pub(super) async fn run(&self, direction: Direction, bytes: usize) -> Result<Measured, String> {
        let moving = async {
            match direction {
                Direction::Download => self.download(bytes).await,
                Direction::Upload => self.upload(bytes).await,
                Direction::Ping => self.ping().await,
                Direction::ManyFlows => self.many_flows().await,
            }
        };
        let outcome = timeout(DEADLINE, moving).await;
        outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| error.to_string())
    }

    async fn download(&self, len: usize) -> io::Result<Measured> {
        let stopwatch = Stopwatch::start(self.harness);
        let mut flow = self.connect(&format!("download {len}\n")).await?;
        let mut received = Vec::with_capacity(len);
        while flow.read_buf(&mut received).await? > 0 {
            self.progress.reached(received.len());
        }
        let measured = stopwatch.stop(1);
        check(&fingerprint(&received), &fingerprint(self.payload.first(len)), measured)
    }

    async fn upload(&self, len: usize) -> io::Result<Measured> {
        /// Bytes between two steps of the progress bar.
        const STEP: usize = 256 * 1024;
        let stopwatch = Stopwatch::start(self.harness);
        let mut flow = self.connect(&format!("upload {len}\n")).await?;
        for (step, piece) in self.payload.first(len).chunks(STEP).enumerate() {
            flow.write_all(piece).await?;
            self.progress.reached(step * STEP + piece.len());
        }
        let mut flow = BufReader::new(flow);
        let mut line = String::new();
        flow.read_line(&mut line).await?;
        let measured = stopwatch.stop(1);
        line.clear();
        flow.read_line(&mut line).await?;
        check(line.trim_end(), &fingerprint(self.payload.first(len)), measured)
    }

    async fn ping(&self) -> io::Result<Measured> {
        let mut flow = BufReader::new(self.connect("echo\n").await?);
        // The first echo includes the open of the flow.
        self.echo(&mut flow).await?;
        let stopwatch = Stopwatch::start(self.harness);
        for _ in 0..PINGS {
            self.echo(&mut flow).await?;
        }
        self.progress.reached(PING.len());
        let measured = stopwatch.stop(PINGS);
        Ok(Measured { sha256: fingerprint(PING), ..measured })
    }

    async fn many_flows(&self) -> io::Result<Measured> {
        let stopwatch = Stopwatch::start(self.harness);
        let whole = many_flows::run(self.harness.proxy(), self.origin, self.progress).await?;
        Ok(Measured { flows: (whole, many_flows::FLOWS), ..stopwatch.stop(1) })
    }

    async fn echo(&self, flow: &mut BufReader<TcpStream>) -> io::Result<()> {
        flow.write_all(PING).await?;
        let mut echo = Vec::with_capacity(PING.len());
        flow.read_until(b'\n', &mut echo).await?;
        if echo == PING { Ok(()) } else { Err(io::Error::other("a wrong line came back")) }
    }

    async fn connect(&self, wanted: &str) -> io::Result<TcpStream> {
        let mut flow = socks::connect(self.harness.proxy(), self.origin).await?;
        flow.write_all(wanted.as_bytes()).await?;
        Ok(flow)
    }
}

fn check(arrived: &str, sent: &str, measured: Measured) -> io::Result<Measured> {
    if arrived == sent {
        Ok(Measured { sha256: sent.to_owned(), ..measured })
    } else {
        Err(io::Error::other(format!("wrong bytes arrived: SHA-256 {arrived}, sent {sent}")))
    }
}

/// Time and calls since its start.
struct Stopwatch<'a> {
    harness: &'a Harness,
    at: Instant,
    calls: u64,
}

impl<'a> Stopwatch<'a> {
    fn start(harness: &'a Harness) -> Self {
        Self { harness, at: Instant::now(), calls: harness.calls() }
    }

    /// Measurements divided by `times`.
    fn stop(self, times: u32) -> Measured {
        let seconds = self.at.elapsed().as_secs_f64() / f64::from(times);
        let calls = (self.harness.calls() - self.calls) as f64 / f64::from(times);
        Measured { seconds, calls, sha256: String::new(), flows: (1, 1) }
    }
}

/// The line that is echoed.
const PING: &[u8] = b"the quick brown fox jumps over it\n";
const PINGS: u32 = 8;

/// The deadline of a trial.
const DEADLINE: Duration = Duration::from_secs(60);
