//! Servers behind the node.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::Pattern;
use super::application::{push, reset, take};
use crate::deadline::soon;

/// A server; it ends with the value. A test in which one of its connections brought a wrong byte fails, whatever
/// else it saw.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    task: JoinHandle<()>,
    is_falsified: Arc<AtomicBool>,
}

impl Origin {
    /// Serves every connection with this function; its error `InvalidData` reports a wrong byte.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_falsified = Arc::new(AtomicBool::new(false));
        let falsified = Arc::clone(&is_falsified);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let (served, falsified) = (serve(socket), Arc::clone(&falsified));
                connections.spawn(async move {
                    if served.await.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                        falsified.store(true, Ordering::SeqCst);
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task, is_falsified }
    }

    /// Sends everything back, and ends when its peer has.
    pub async fn echo() -> Self {
        Self::serve(|mut socket| async move {
            let (mut read, mut write) = socket.split();
            tokio::io::copy_buf(&mut BufReader::with_capacity(64 * 1024, &mut read), &mut write).await?;
            write.shutdown().await
        })
        .await
    }

    /// Sends this many bytes of a pattern and ends.
    pub async fn source(pattern: Pattern, len: usize) -> Self {
        Self::serve(move |mut socket| async move {
            push(&mut socket, pattern, len).await?;
            end(socket).await
        })
        .await
    }

    /// Takes this many bytes of a pattern, checks them, answers with their number and ends.
    pub async fn sink(pattern: Pattern, len: usize) -> Self {
        Self::serve(move |mut socket| async move {
            take(&mut socket, pattern, len).await?;
            socket.write_all(len.to_string().as_bytes()).await?;
            end(socket).await
        })
        .await
    }

    /// Answers with the number of bytes that it got, once its peer has finished, and not before.
    pub async fn tally() -> Self {
        Self::serve(|mut socket| async move {
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).await?;
            socket.write_all(bytes.len().to_string().as_bytes()).await?;
            end(socket).await
        })
        .await
    }

    /// Answers every line with the same line in upper case.
    pub async fn lines() -> Self {
        Self::serve(|socket| async move {
            let mut socket = BufReader::new(socket);
            let mut line = String::new();
            while socket.read_line(&mut line).await? > 0 {
                socket.write_all(line.to_uppercase().as_bytes()).await?;
                line.clear();
            }
            Ok(())
        })
        .await
    }

    /// Speaks first, and then echoes.
    pub async fn greeter(greeting: &'static str) -> Self {
        Self::serve(move |mut socket| async move {
            socket.write_all(greeting.as_bytes()).await?;
            let (mut read, mut write) = socket.split();
            tokio::io::copy(&mut read, &mut write).await.map(drop)
        })
        .await
    }

    /// Sends these bytes when it has heard something, and then resets the connection once it was read from.
    pub async fn resetter(last_words: &'static [u8]) -> Self {
        Self::serve(move |mut socket| async move {
            socket.read_u8().await?;
            socket.write_all(last_words).await?;
            // A reset destroys unread bytes, so it waits for a second message.
            socket.read_u8().await?;
            reset(socket);
            Ok(())
        })
        .await
    }

    /// Accepts connections and reads nothing from them until it is released; then like [`sink`](Self::sink).
    pub async fn reluctant(pattern: Pattern, len: usize) -> (Self, Arc<Notify>) {
        let go = Arc::new(Notify::new());
        let told = Arc::clone(&go);
        let origin = Self::serve(move |mut socket| {
            let told = Arc::clone(&told);
            async move {
                told.notified().await;
                take(&mut socket, pattern, len).await?;
                socket.write_all(len.to_string().as_bytes()).await?;
                end(socket).await
            }
        })
        .await;
        (origin, go)
    }

    /// Sends a pattern for as long as its peer takes it.
    pub async fn endless(pattern: Pattern) -> Self {
        Self::serve(move |mut socket| async move {
            let mut sent = 0;
            loop {
                let piece = pattern.piece(sent, 64 * 1024);
                socket.write_all(piece).await?;
                sent += piece.len();
            }
        })
        .await
    }

    /// Reads each connection, and reports whether it ended in order.
    pub async fn witness() -> (Self, Endings) {
        let (tell, endings) = mpsc::unbounded_channel();
        let origin = Self::serve(move |mut socket| {
            let tell = tell.clone();
            async move {
                let mut bytes = Vec::new();
                let ended = socket.read_to_end(&mut bytes).await.map(drop);
                // Nobody may be asking.
                let _ = tell.send((bytes, ended.map_err(|error| error.kind())));
                Ok(())
            }
        })
        .await;
        (origin, Endings(endings))
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
        let is_falsified = self.is_falsified.load(Ordering::SeqCst);
        assert!(std::thread::panicking() || !is_falsified, "a wrong byte has reached the server");
    }
}

/// Ends a connection after everything was sent, and waits for the peer to do the same.
async fn end(mut socket: TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    socket.read_to_end(&mut Vec::new()).await.map(drop)
}

/// The ends of connections.
#[derive(Debug)]
pub struct Endings(mpsc::UnboundedReceiver<Ending>);

type Ending = (Vec<u8>, Result<(), io::ErrorKind>);

impl Endings {
    /// What the next connection that ends has brought, and whether it ended in order.
    ///
    /// # Panics
    /// When none ends before long.
    pub async fn next(&mut self) -> (Vec<u8>, Result<(), io::ErrorKind>) {
        soon(self.0.recv()).await.expect("a running origin")
    }
}

/// A UDP server that sends every datagram back.
#[derive(Debug)]
pub struct DatagramEcho {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl DatagramEcho {
    /// A new one.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut datagram = vec![0; 65_535];
            while let Ok((len, peer)) = socket.recv_from(&mut datagram).await {
                let _ = socket.send_to(&datagram[..len], peer).await;
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DatagramEcho {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address that never answers: its backlog is full and nothing is accepted.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl BlackHole {
    /// A new one.
    ///
    /// # Panics
    /// When there is no port.
    pub fn open() -> Self {
        let listener = stream_socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
        listener.listen(0).expect("a listening socket");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        // Loopback connects at once or, when the queue is full, never.
        let waiting = std::iter::repeat_with(|| {
            let socket = stream_socket();
            socket.set_nonblocking(true).expect("a socket that can be set up");
            let _ = socket.connect(&address.into());
            socket
        });
        Self { address, _waiting: waiting.take(4).collect(), _listener: listener }
    }

    /// The address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn stream_socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

/// An address that refuses connections.
///
/// # Panics
/// When there is no port.
pub async fn closed() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    listener.local_addr().expect("an address")
}
