//! The whole system on loopback, beside the figures of the deployed one:
//! `cargo bench -p seqlane-tests --bench loopback` (`-- --quick` leaves out the slow rows).
//!
//! Origin, node, stand-in relay, client and application share this process and its cores. The delay is the
//! relay's round trip. The deployed figures are those of version 1.9.1 in the same kind of rig.

use std::time::{Duration, Instant};

use seqlane_tests::rig::{Origin, Pattern, Rig, echo, push, take};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MB: f64 = 1e6;
const MIB: usize = 1 << 20;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("{:<44} {:>14} {:>14} {:>10}", "loopback, level 1", "here", "deployed", "ratio");
    runtime.block_on(async {
        echoes("echo p50, no delay", 0, 0, 400, Some(84.0)).await;
        echoes("echo p50 after 300 ms of thought, no delay", 0, 300, 10, None).await;
        echoes("echo p50 after 300 ms of thought, 100 ms", 100, 300, 10, Some(9_800.0)).await;
        transfer("download 64 MiB, no delay", 0, 64 * MIB, Way::Down, Some(35.9)).await;
        transfer("upload 16 MiB, no delay", 0, 16 * MIB, Way::Up, Some(0.15)).await;
        transfer("upload 128 MiB, no delay", 0, 128 * MIB, Way::Up, Some(0.15)).await;
        if !quick {
            echoes("echo p50, 1.5 s", 1500, 0, 8, Some(1_589.0)).await;
            transfer("download 10 MB, 1.5 s", 1500, 10_000_000, Way::Down, Some(5.46)).await;
            transfer("upload 16 MiB, 1.5 s", 1500, 16 * MIB, Way::Up, Some(0.03)).await;
        }
    });
}

enum Way {
    Down,
    Up,
}

async fn rig(delay: u64) -> Rig {
    Rig::builder().relay(move |relay| relay.delay(Duration::from_millis(delay))).start().await
}

/// Echoes of 32 bytes one after another over one flow, with time to think before each.
async fn echoes(name: &str, delay: u64, thought: u64, count: usize, deployed: Option<f64>) {
    let rig = rig(delay).await;
    let origin = Origin::echo().await;
    let mut socket = rig.connect(origin.address()).await;
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
    let p50 = times[times.len() / 2];
    let calls = rig.relays[0].calls() as f64 / (count + 2) as f64;
    row(name, p50, "ms", deployed, deployed.map(|deployed| deployed / p50));
    let p99 = times[times.len() * 99 / 100];
    let trips = if delay > 0 { format!(", {:.3} round trips", p50 / delay as f64) } else { String::new() };
    println!("    p99 {p99:.2} ms, {calls:.1} calls an echo{trips}");
    rig.client.shutdown().await;
}

/// One transfer over a flow that is open: from the first byte of the request to the last of the answer.
async fn transfer(name: &str, delay: u64, len: usize, way: Way, deployed: Option<f64>) {
    let rig = rig(delay).await;
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
    let mut socket = rig.connect(origin.address()).await;
    echo(&mut socket, b"open").await.expect("an echo");
    let before = rig.relays[0].calls();
    let begun = Instant::now();
    push(&mut socket, pattern, up).await.expect("an upload");
    take(&mut socket, pattern, down).await.expect("a download");
    let rate = len as f64 / MB / begun.elapsed().as_secs_f64();
    let calls = rig.relays[0].calls() - before;
    row(name, rate, "MB/s", deployed, deployed.map(|deployed| rate / deployed));
    println!("    {calls} calls, {:.2} a MB", calls as f64 / (len as f64 / MB));
    rig.client.shutdown().await;
}

async fn echo_once(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut word = [0; 4];
    socket.read_exact(&mut word).await?;
    socket.write_all(&word).await
}

fn row(name: &str, value: f64, unit: &str, deployed: Option<f64>, ratio: Option<f64>) {
    let deployed = deployed.map_or_else(|| "-".to_owned(), |deployed| format!("{deployed} {unit}"));
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1} x"));
    println!("{name:<44} {:>14} {deployed:>14} {ratio:>10}", format!("{value:.2} {unit}"));
}
