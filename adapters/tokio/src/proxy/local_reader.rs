//! Reads from a local socket, in buffers that fit what arrives.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;

/// The buffer for the first reads of a socket, and for a socket that brings little.
const MIN_BUFFER: usize = 16 * 1024;

/// The buffer for a socket that fills every buffer.
const MAX_BUFFER: usize = 256 * 1024;

/// The reading end of a local socket. An idle socket holds no buffer.
#[derive(Debug)]
pub(super) struct LocalReader {
    /// Bytes of the flow that arrived with the handshake.
    early: Bytes,
    size: usize,
}

impl LocalReader {
    pub(super) const fn new(early: Bytes) -> Self {
        Self { early, size: MIN_BUFFER }
    }

    /// Waits until something can be read.
    pub(super) async fn ready(&self, socket: &TcpStream) -> io::Result<()> {
        if self.early.is_empty() { socket.readable().await } else { Ok(()) }
    }

    /// Reads at most `credit` bytes; `None` when nothing can be read, empty at the end of the stream.
    pub(super) fn read(&mut self, socket: &TcpStream, credit: usize) -> io::Result<Option<Bytes>> {
        if self.early.has_remaining() {
            return Ok(Some(self.early.split_to(credit.min(self.early.len()))));
        }
        let room = credit.min(self.size);
        let mut buffer = BytesMut::with_capacity(room).limit(room);
        match socket.try_read_buf(&mut buffer) {
            Ok(read) => {
                let buffer = buffer.into_inner();
                self.adapt(read, room);
                // Half empty buffers are copied, so that a payload pins at most twice its size.
                Ok(Some(if read * 2 > room { buffer.freeze() } else { Bytes::copy_from_slice(&buffer) }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn adapt(&mut self, read: usize, room: usize) {
        if read == self.size {
            self.size = (self.size * 2).min(MAX_BUFFER);
        } else if read < room / 4 {
            self.size = (self.size / 2).max(MIN_BUFFER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    async fn next(reader: &mut LocalReader, socket: &TcpStream, credit: usize) -> Bytes {
        loop {
            reader.ready(socket).await.unwrap();
            if let Some(bytes) = reader.read(socket, credit).unwrap() {
                return bytes;
            }
        }
    }

    #[tokio::test]
    async fn early_bytes_come_first_and_within_credit() {
        let (socket, mut app) = pair().await;
        app.write_all(b"later").await.unwrap();
        let mut reader = LocalReader::new(Bytes::from_static(b"early"));
        assert_eq!(next(&mut reader, &socket, 3).await, "ear");
        assert_eq!(next(&mut reader, &socket, 3).await, "ly");
        assert_eq!(next(&mut reader, &socket, 3).await, "lat");
        assert_eq!(next(&mut reader, &socket, 3).await, "er");
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_empty() {
        let (socket, app) = pair().await;
        drop(app);
        assert_eq!(next(&mut LocalReader::new(Bytes::new()), &socket, 10).await, "");
    }

    #[test]
    fn buffers_grow_while_reads_fill_them_and_shrink_when_reads_are_small() {
        let mut reader = LocalReader::new(Bytes::new());
        for _ in 0..10 {
            reader.adapt(reader.size, reader.size);
        }
        assert_eq!(reader.size, MAX_BUFFER);
        for _ in 0..10 {
            reader.adapt(1, reader.size);
        }
        assert_eq!(reader.size, MIN_BUFFER);
    }
}
