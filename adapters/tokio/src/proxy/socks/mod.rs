//! SOCKS5 (RFC 1928) with user name and password (RFC 1929).

mod address;
mod datagram;
mod handshake;

pub(super) use datagram::{Datagram, header};
pub(super) use handshake::{Request, SUCCEEDED, negotiate, reply, reply_bound};
