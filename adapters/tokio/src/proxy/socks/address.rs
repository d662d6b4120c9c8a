//! Addresses of SOCKS5 (RFC 1928 section 5): type, host, port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, BytesMut};
use seqlane::Target;

/// RFC 1928 section 5, ATYP.
pub(super) const IPV4: u8 = 1;
pub(super) const DOMAIN: u8 = 3;
pub(super) const IPV6: u8 = 4;

/// The bytes of a host of this type, given the first byte after the type. `None` for an unknown type.
pub(super) const fn host_len(kind: u8, first: u8) -> Option<usize> {
    match kind {
        IPV4 => Some(4),
        DOMAIN => Some(1 + first as usize),
        IPV6 => Some(16),
        _ => None,
    }
}

/// The target of a received host (a domain with its length before it) and a port. `None` without a valid host, and for
/// port 0.
pub(super) fn target(kind: u8, host: &[u8], port: u16) -> Option<Target> {
    match kind {
        IPV4 => {
            let host: [u8; 4] = host.try_into().ok()?;
            Target::new(&Ipv4Addr::from(host).to_string(), port).ok()
        }
        IPV6 => {
            let host: [u8; 16] = host.try_into().ok()?;
            Target::new(&Ipv6Addr::from(host).to_string(), port).ok()
        }
        _ => Target::new(std::str::from_utf8(host.get(1..)?).ok()?, port).ok(),
    }
}

/// Appends a target: an address as an address, a name as a name.
pub(super) fn put_target(bytes: &mut BytesMut, target: &Target) {
    match target.host().parse::<IpAddr>() {
        Ok(address) => put_socket(bytes, SocketAddr::new(address, target.port())),
        Err(_) => {
            bytes.put_u8(DOMAIN);
            // A target's host has at most 255 bytes.
            bytes.put_u8(u8::try_from(target.host().len()).unwrap_or(u8::MAX));
            bytes.put_slice(target.host().as_bytes());
            bytes.put_u16(target.port());
        }
    }
}

/// Appends the address of a socket.
pub(super) fn put_socket(bytes: &mut BytesMut, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(host) => {
            bytes.put_u8(IPV4);
            bytes.put_slice(&host.octets());
        }
        IpAddr::V6(host) => {
            bytes.put_u8(IPV6);
            bytes.put_slice(&host.octets());
        }
    }
    bytes.put_u16(address.port());
}
