//! Clients of a proxy: SOCKS5, HTTP CONNECT, SOCKS5 UDP ASSOCIATE.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Why a proxy opened no connection.
#[derive(Debug)]
pub enum Refused {
    /// Refused: the reply code of SOCKS5, or the status of HTTP.
    Code(u16),
    /// The connection broke.
    Broken(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// A connection to `target` through SOCKS5 (RFC 1928).
///
/// # Errors
/// [`Refused`] with the reply code.
pub async fn socks(proxy: SocketAddr, target: SocketAddr) -> Result<TcpStream, Refused> {
    let mut socket = greet(proxy).await?;
    socket.write_all(&[&[5, 1, 0][..], &address(target)].concat()).await?;
    bound(&mut socket).await?;
    Ok(socket)
}

/// A connection to `target` through HTTP CONNECT.
///
/// # Errors
/// [`Refused`] with the status.
pub async fn http_connect(proxy: SocketAddr, target: SocketAddr) -> Result<TcpStream, Refused> {
    let mut socket = TcpStream::connect(proxy).await?;
    socket.set_nodelay(true)?;
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the empty line belongs to the tunnel.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(200) => Ok(socket),
        Some(status) => Err(Refused::Code(status)),
        None => Err(Refused::Broken(io::Error::other(format!("no HTTP: {head}")))),
    }
}

/// An association for datagrams.
#[derive(Debug)]
pub struct Association {
    socket: UdpSocket,
    /// The association lasts as long as this connection.
    _control: TcpStream,
}

impl Association {
    /// A new association.
    ///
    /// # Errors
    /// [`Refused`] with the reply code.
    pub async fn open(proxy: SocketAddr) -> Result<Self, Refused> {
        let mut control = greet(proxy).await?;
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        control.write_all(&[&[5, 3, 0][..], &address(anywhere)].concat()).await?;
        let relay = bound(&mut control).await?;
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(relay).await?;
        Ok(Self { socket, _control: control })
    }

    /// Sends a datagram to `target`.
    ///
    /// # Errors
    /// Errors of the socket.
    pub async fn send(&self, target: SocketAddr, payload: &[u8]) -> io::Result<()> {
        self.socket.send(&[&[0, 0, 0][..], &address(target), payload].concat()).await.map(drop)
    }

    /// The next datagram, and where it came from.
    ///
    /// # Errors
    /// Errors of the socket, and a header that is not one for IPv4.
    pub async fn receive(&self) -> io::Result<(SocketAddr, Vec<u8>)> {
        let mut datagram = vec![0; 65_535];
        let len = self.socket.recv(&mut datagram).await?;
        let [0, 0, 0, 1, a, b, c, d, high, low, payload @ ..] = &datagram[..len] else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let from = SocketAddr::from(([*a, *b, *c, *d], u16::from_be_bytes([*high, *low])));
        Ok((from, payload.to_vec()))
    }
}

/// A connection that agreed on no authentication.
async fn greet(proxy: SocketAddr) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(proxy).await?;
    socket.set_nodelay(true)?;
    socket.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    socket.read_exact(&mut method).await?;
    if method == [5, 0] { Ok(socket) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The reply to a request: its code, and the address behind it.
async fn bound(socket: &mut TcpStream) -> Result<SocketAddr, Refused> {
    let mut reply = [0; 10];
    socket.read_exact(&mut reply).await?;
    match reply {
        [5, 0, 0, 1, a, b, c, d, high, low] => {
            Ok(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
        }
        [5, code, ..] => Err(Refused::Code(code.into())),
        _ => Err(Refused::Broken(io::ErrorKind::InvalidData.into())),
    }
}

/// An address as SOCKS5 has it.
fn address(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(address) => [&[1][..], &address.ip().octets(), &port].concat(),
        SocketAddr::V6(address) => [&[4][..], &address.ip().octets(), &port].concat(),
    }
}
