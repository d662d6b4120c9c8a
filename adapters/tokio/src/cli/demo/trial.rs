//! One transfer, timed and checked.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seqlane::Level;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::crowd;
use super::payload::{Payload, fingerprint};
use super::progress::Progress;
use super::rig::{Condition, Rig};
use super::socks;

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Download,
    Upload,
    Ping,
    /// Many flows at once, both ways.
    Crowd,
}

impl Direction {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Ping => "ping",
            Self::Crowd => "20 echoes",
        }
    }

    /// How many of `largest` bytes to move: so many that the transfer dwarfs the opening, and so few that
    /// nobody waits long.
    pub(super) const fn bytes(self, level: Level, condition: Condition, largest: usize) -> usize {
        match (self, level, condition) {
            (Self::Ping, _, _) => PING.len(),
            (Self::Crowd, _, _) => crowd::BYTES,
            // One op in flight, and each is held for 350 ms.
            (Self::Upload, Level::Legacy, _) => largest / 16,
            (_, _, Condition::Direct) => largest,
            (_, _, Condition::Slow | Condition::Reordering | Condition::Losing) => largest / 2,
        }
    }
}

/// What was measured, once the bytes were found to be right.
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) calls: f64,
    /// Of the bytes; empty where they were compared one by one.
    pub(super) sha256: String,
    /// How many flows came to their end, of how many.
    pub(super) flows: (usize, usize),
}

/// A rig and what moves through it.
pub(super) struct Trial<'a> {
    pub(super) rig: &'a Rig,
    pub(super) origin: SocketAddr,
    pub(super) payload: &'a Payload,
    pub(super) progress: &'a Progress,
}

impl Trial<'_> {
    /// Moves the bytes and checks them.
    pub(super) async fn run(&self, direction: Direction, bytes: usize) -> Result<Measured, String> {
        let moving = async {
            match direction {
                Direction::Download => self.download(bytes).await,
                Direction::Upload => self.upload(bytes).await,
                Direction::Ping => self.ping().await,
                Direction::Crowd => self.crowd().await,
            }
        };
        let outcome = timeout(DEADLINE, moving).await;
        outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| error.to_string())
    }

    async fn download(&self, len: usize) -> io::Result<Measured> {
        let stopwatch = Stopwatch::start(self.rig);
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
        let stopwatch = Stopwatch::start(self.rig);
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
        // The first one waits for the flow to open.
        self.echo(&mut flow).await?;
        let stopwatch = Stopwatch::start(self.rig);
        for _ in 0..PINGS {
            self.echo(&mut flow).await?;
        }
        self.progress.reached(PING.len());
        let measured = stopwatch.stop(PINGS);
        Ok(Measured { sha256: fingerprint(PING), ..measured })
    }

    async fn crowd(&self) -> io::Result<Measured> {
        let stopwatch = Stopwatch::start(self.rig);
        let whole = crowd::run(self).await?;
        Ok(Measured { flows: (whole, crowd::FLOWS), ..stopwatch.stop(1) })
    }

    async fn echo(&self, flow: &mut BufReader<TcpStream>) -> io::Result<()> {
        flow.write_all(PING).await?;
        let mut echo = Vec::with_capacity(PING.len());
        flow.read_until(b'\n', &mut echo).await?;
        if echo == PING { Ok(()) } else { Err(io::Error::other("another line came back")) }
    }

    async fn connect(&self, wanted: &str) -> io::Result<TcpStream> {
        let mut flow = socks::connect(self.rig.proxy(), self.origin).await?;
        flow.write_all(wanted.as_bytes()).await?;
        Ok(flow)
    }
}

fn check(arrived: &str, sent: &str, measured: Measured) -> io::Result<Measured> {
    if arrived == sent {
        Ok(Measured { sha256: sent.to_owned(), ..measured })
    } else {
        Err(io::Error::other(format!("other bytes arrived: SHA-256 {arrived}, sent {sent}")))
    }
}

/// Time and calls since a moment.
struct Stopwatch<'a> {
    rig: &'a Rig,
    at: Instant,
    calls: u64,
}

impl<'a> Stopwatch<'a> {
    fn start(rig: &'a Rig) -> Self {
        Self { rig, at: Instant::now(), calls: rig.calls() }
    }

    /// What one of `times` took.
    fn stop(self, times: u32) -> Measured {
        let seconds = self.at.elapsed().as_secs_f64() / f64::from(times);
        let calls = (self.rig.calls() - self.calls) as f64 / f64::from(times);
        Measured { seconds, calls, sha256: String::new(), flows: (1, 1) }
    }
}

/// The line that goes to and fro.
const PING: &[u8] = b"the quick brown fox jumps over it\n";
const PINGS: u32 = 8;

/// The longest that a trial may take.
const DEADLINE: Duration = Duration::from_secs(60);
