//! Many flows at the same time, through relays that lose calls.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::progress::Progress;
use super::socks;

/// Flows at a time.
pub(super) const FLOWS: usize = 20;

/// Lines that each flow sends and gets back, one after the other.
const LINES: usize = 40;

/// Bytes of a line, including its end.
const LINE: usize = 64;

/// Bytes in each direction when every flow finishes.
pub(super) const BYTES: usize = FLOWS * LINES * LINE;

/// Runs every flow until it finishes or is reset; returns how many finished. A flow that ends too early without a reset,
/// or returns another line than was sent, is an error.
pub(super) async fn run(proxy: SocketAddr, origin: SocketAddr, progress: &Progress) -> io::Result<usize> {
    let mut flows = JoinSet::new();
    for number in 0..FLOWS {
        flows.spawn(converse(number, proxy, origin));
    }
    let mut whole = 0;
    while let Some(ended) = flows.join_next().await {
        if ended.map_err(io::Error::other)?? {
            whole += 1;
            progress.reached(whole * LINES * LINE);
        }
    }
    Ok(whole)
}

/// Whether all lines came back; false when the flow was reset before.
async fn converse(number: usize, proxy: SocketAddr, origin: SocketAddr) -> io::Result<bool> {
    let Ok(socket) = open(proxy, origin).await else { return Ok(false) };
    let mut flow = BufReader::new(socket);
    for line in 0..LINES {
        let sent = format!("{:<1$}\n", format!("line {line} of flow {number}"), LINE - 1);
        let mut back = String::new();
        let exchanged = async {
            flow.write_all(sent.as_bytes()).await?;
            flow.read_line(&mut back).await
        };
        match exchanged.await {
            Ok(_) if back == sent => {}
            Ok(0) => {
                return Err(io::Error::other("a flow ended too early, without a reset"));
            }
            Ok(_) => return Err(io::Error::other("a wrong line came back")),
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

async fn open(proxy: SocketAddr, origin: SocketAddr) -> io::Result<TcpStream> {
    let mut socket = socks::connect(proxy, origin).await?;
    socket.write_all(b"echo\n").await?;
    Ok(socket)
}
