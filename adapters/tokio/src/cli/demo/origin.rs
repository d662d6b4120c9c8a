//! The origin server of the transfers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::payload::{Payload, fingerprint};

/// A server on loopback. A connection begins with a line that selects the transfer:
///
/// | line | what follows |
/// |---|---|
/// | `download N` | the server sends the first N bytes of the payload and closes |
/// | `upload N` | the server reads N bytes, answers the line `received`, then their SHA-256 as a line, and closes |
/// | `echo` | the server sends every line back |
pub(super) struct Origin {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Origin {
    pub(super) async fn start(payload: Payload) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, _serving: AbortOnDropHandle::new(tokio::spawn(accept(listener, payload))) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, payload: Payload) {
    /// A process without free file descriptors gets some back soon.
    const PAUSE: Duration = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                let payload = payload.clone();
                // A connection that breaks shows as a failure of the trial.
                tokio::spawn(async move { serve(connection, &payload).await.ok() });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve(connection: TcpStream, payload: &Payload) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    match line.trim_end().split_once(' ') {
        None => echo(connection).await,
        Some((wanted, number)) => {
            let len = number.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            match wanted {
                "download" => {
                    connection.write_all(payload.first(len)).await?;
                    connection.shutdown().await
                }
                _ => receive(connection, len).await,
            }
        }
    }
}

async fn echo(mut connection: BufReader<TcpStream>) -> io::Result<()> {
    let mut line = Vec::new();
    while connection.read_until(b'\n', &mut line).await? > 0 {
        connection.write_all(&line).await?;
        line.clear();
    }
    connection.shutdown().await
}

async fn receive(mut connection: BufReader<TcpStream>, len: usize) -> io::Result<()> {
    let mut bytes = vec![0; len];
    connection.read_exact(&mut bytes).await?;
    // The time of the trial ends here: hashing is not part of the transfer.
    connection.write_all(b"received\n").await?;
    connection.write_all(format!("{}\n", fingerprint(&bytes)).as_bytes()).await?;
    connection.shutdown().await
}
