//! A SOCKS5 client (RFC 1928).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const SUCCEEDED: u8 = 0;
const IPV4: u8 = 1;
const IPV6: u8 = 4;

/// A connection to `target` through the proxy.
pub(super) async fn connect(proxy: SocketAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let mut connection = TcpStream::connect(proxy).await?;
    connection.set_nodelay(true)?;
    connection.write_all(&[VERSION, 1, NO_AUTHENTICATION]).await?;
    let mut choice = [0; 2];
    connection.read_exact(&mut choice).await?;
    expect(choice == [VERSION, NO_AUTHENTICATION], "the proxy requires authentication")?;
    connection.write_all(&request(target)).await?;
    let mut head = [0; 4];
    connection.read_exact(&mut head).await?;
    expect(head[..2] == [VERSION, SUCCEEDED], "the proxy refused the target")?;
    let address = match head[3] {
        IPV4 => 4,
        IPV6 => 16,
        _ => return Err(io::Error::other("the proxy returned an unknown type of address")),
    };
    // The bound address and port, of which nothing is needed.
    connection.read_exact(&mut [0; 18][..address + 2]).await?;
    Ok(connection)
}

fn request(target: SocketAddr) -> Vec<u8> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target {
        SocketAddr::V4(target) => {
            request.push(IPV4);
            request.extend_from_slice(&target.ip().octets());
        }
        SocketAddr::V6(target) => {
            request.push(IPV6);
            request.extend_from_slice(&target.ip().octets());
        }
    }
    request.extend_from_slice(&target.port().to_be_bytes());
    request
}

fn expect(holds: bool, otherwise: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(otherwise)) }
}
