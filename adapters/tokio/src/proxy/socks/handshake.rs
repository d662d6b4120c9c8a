//! The handshake of a SOCKS5 connection, and its replies.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::{BufMut, BytesMut};
use seqlane::Target;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::address;
use crate::proxy::credentials::Credentials;

pub(super) const VERSION: u8 = 5;

/// RFC 1928 section 3, METHOD.
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;

/// RFC 1929 section 2.
const AUTHENTICATION_VERSION: u8 = 1;
const AUTHENTICATED: u8 = 0;
const NOT_AUTHENTICATED: u8 = 1;

/// RFC 1928 section 4, CMD.
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;

/// RFC 1928 section 6, REP.
pub(in crate::proxy) const SUCCEEDED: u8 = 0;
const GENERAL_FAILURE: u8 = 1;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_TYPE_NOT_SUPPORTED: u8 = 8;

/// The request of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Request {
    Connect(Target),
    UdpAssociate,
}

/// Negotiates the method, authenticates, reads the request. A request that cannot be served is answered here, with its
/// code. Reads no byte that belongs to the flow.
pub(in crate::proxy) async fn negotiate<S>(
    stream: &mut S,
    credentials: Option<&Credentials>,
) -> Result<Request, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    greet(stream, credentials).await?;
    let [version, command, _reserved, kind, first] = read(stream).await?;
    if version != VERSION {
        return Err(SocksError::Version(version));
    }
    let Some(length) = address::host_len(kind, first) else {
        reply(stream, ADDRESS_TYPE_NOT_SUPPORTED).await?;
        return Err(SocksError::AddressType(kind));
    };
    let mut host = vec![first; length];
    stream.read_exact(&mut host[1..]).await?;
    let port = u16::from_be_bytes(read(stream).await?);
    match command {
        CONNECT => match address::target(kind, &host, port) {
            Some(target) => Ok(Request::Connect(target)),
            None => {
                reply(stream, GENERAL_FAILURE).await?;
                Err(SocksError::Target)
            }
        },
        // The address of the datagrams is known when the first one arrives.
        UDP_ASSOCIATE => Ok(Request::UdpAssociate),
        other => {
            reply(stream, COMMAND_NOT_SUPPORTED).await?;
            Err(SocksError::Command(other))
        }
    }
}

async fn greet<S>(stream: &mut S, credentials: Option<&Credentials>) -> Result<(), SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version, count] = read(stream).await?;
    if version != VERSION {
        return Err(SocksError::Version(version));
    }
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods).await?;
    let method = if credentials.is_some() { USER_PASSWORD } else { NO_AUTHENTICATION };
    if !methods.contains(&method) {
        stream.write_all(&[VERSION, NO_ACCEPTABLE_METHOD]).await?;
        return Err(SocksError::Method);
    }
    stream.write_all(&[VERSION, method]).await?;
    match credentials {
        Some(credentials) => authenticate(stream, credentials).await,
        None => Ok(()),
    }
}

async fn authenticate<S>(stream: &mut S, credentials: &Credentials) -> Result<(), SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version] = read(stream).await?;
    if version != AUTHENTICATION_VERSION {
        return Err(SocksError::Version(version));
    }
    let user = text(stream).await?;
    let password = text(stream).await?;
    if credentials.matches(&user, &password) {
        stream.write_all(&[AUTHENTICATION_VERSION, AUTHENTICATED]).await?;
        Ok(())
    } else {
        stream.write_all(&[AUTHENTICATION_VERSION, NOT_AUTHENTICATED]).await?;
        Err(SocksError::Credentials)
    }
}

/// Answers a request with a code, and no address.
pub(in crate::proxy) async fn reply<S: AsyncWrite + Unpin>(stream: &mut S, code: u8) -> io::Result<()> {
    write_reply(stream, code, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await
}

/// Answers a request with success and an address.
pub(in crate::proxy) async fn reply_bound<S: AsyncWrite + Unpin>(
    stream: &mut S,
    address: SocketAddr,
) -> io::Result<()> {
    write_reply(stream, SUCCEEDED, address).await
}

async fn write_reply<S: AsyncWrite + Unpin>(stream: &mut S, code: u8, address: SocketAddr) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(22);
    bytes.put_slice(&[VERSION, code, 0]);
    address::put_socket(&mut bytes, address);
    stream.write_all(&bytes).await
}

async fn read<S: AsyncRead + Unpin, const N: usize>(stream: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// One length byte and as many bytes.
async fn text<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Why no request is served.
#[derive(Debug)]
pub(in crate::proxy) enum SocksError {
    Io(io::Error),
    Version(u8),
    Method,
    Credentials,
    Command(u8),
    AddressType(u8),
    Target,
}

impl From<io::Error> for SocksError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the handshake broke: {error}"),
            Self::Version(version) => write!(f, "version {version} is not spoken here"),
            Self::Method => f.write_str("no authentication method in common"),
            Self::Credentials => f.write_str("wrong user name or password"),
            Self::Command(command) => write!(f, "command {command} is not supported"),
            Self::AddressType(kind) => write!(f, "address type {kind} is not supported"),
            Self::Target => f.write_str("the address is no target"),
        }
    }
}

#[cfg(test)]
mod tests;
