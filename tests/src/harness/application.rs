//! Operations of applications on a connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Pattern;
use crate::deadline::soon;

/// Sends `message` and takes the same number of bytes back.
///
/// # Errors
/// Errors of the socket.
pub async fn echo(socket: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    socket.write_all(message).await?;
    let mut answer = vec![0; message.len()];
    soon(socket.read_exact(&mut answer)).await?;
    Ok(answer)
}

/// Exactly `len` bytes.
///
/// # Errors
/// Errors of the socket.
pub async fn read_exact(socket: &mut (impl AsyncReadExt + Unpin), len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    soon(socket.read_exact(&mut bytes)).await?;
    Ok(bytes)
}

/// Everything up to the end.
///
/// # Errors
/// Errors of the socket; a reset is an error.
pub async fn read_to_end(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    soon(socket.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}

/// Reads to the end and checks every byte; returns their number.
///
/// # Errors
/// Errors of the socket, and [`InvalidData`](io::ErrorKind::InvalidData) for a byte that was not sent.
pub async fn fetch(socket: &mut (impl AsyncReadExt + Unpin), pattern: Pattern) -> io::Result<usize> {
    let mut piece = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        let len = soon(socket.read(&mut piece)).await?;
        if len == 0 {
            return Ok(total);
        }
        pattern
            .check(total, &piece[..len])
            .map_err(|mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch))?;
        total += len;
    }
}

/// Reads the first `len` bytes of a pattern and checks every one.
///
/// # Errors
/// Errors of the socket, and [`InvalidData`](io::ErrorKind::InvalidData) for a byte that was not sent.
pub async fn take(socket: &mut (impl AsyncReadExt + Unpin), pattern: Pattern, len: usize) -> io::Result<()> {
    let got = fetch(&mut socket.take(len as u64), pattern).await?;
    if got == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Sends the first `len` bytes of a pattern.
///
/// # Errors
/// Errors of the socket.
pub async fn push(socket: &mut (impl AsyncWriteExt + Unpin), pattern: Pattern, len: usize) -> io::Result<()> {
    let mut sent = 0;
    while sent < len {
        let piece = pattern.piece(sent, (len - sent).min(256 * 1024));
        soon(socket.write_all(piece)).await?;
        sent += piece.len();
    }
    Ok(())
}

/// Cuts a connection: the peer sees a reset.
///
/// # Panics
/// When the socket rejects the option.
pub fn reset(socket: TcpStream) {
    socket.set_zero_linger().expect("a socket that can be set up");
}

/// Waits for the end of a connection; whether it was a reset.
pub async fn was_reset(socket: &mut TcpStream) -> bool {
    let ended = read_to_end(socket).await;
    ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}
