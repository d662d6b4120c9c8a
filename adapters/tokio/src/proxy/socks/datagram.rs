//! The header before every datagram of a UDP association (RFC 1928 section 7).

use bytes::{BufMut, BytesMut};
use seqlane::Target;

use super::address;

/// A datagram from the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Datagram<'a> {
    pub(in crate::proxy) target: Target,
    pub(in crate::proxy) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram. `None` for one to drop: a fragment, a truncated one, or one without a target.
    pub(in crate::proxy) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[_, _, fragment, kind, first], _) = bytes.split_first_chunk()?;
        if fragment != 0 {
            return None;
        }
        let (host, rest) = bytes.get(4..)?.split_at_checked(address::host_len(kind, first)?)?;
        let (port, payload) = rest.split_first_chunk()?;
        let target = address::target(kind, host, u16::from_be_bytes(*port))?;
        Some(Self { target, payload })
    }
}

/// The header of datagrams from this target to the application.
pub(in crate::proxy) fn header(target: &Target) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_slice(&[0, 0, 0]);
    address::put_target(&mut bytes, target);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_its_target() {
        for (host, port) in [("192.0.2.7", 53), ("2001:db8::1", 443), ("dns.example", 53)] {
            let target = Target::new(host, port).unwrap();
            let mut bytes = header(&target);
            bytes.put_slice(b"payload");
            assert_eq!(Datagram::parse(&bytes), Some(Datagram { target, payload: b"payload" }));
        }
    }

    #[test]
    fn fragments_are_dropped() {
        assert!(Datagram::parse(&[0, 0, 0, 1, 192, 0, 2, 7, 0, 53, 1]).is_some());
        assert_eq!(Datagram::parse(&[0, 0, 1, 1, 192, 0, 2, 7, 0, 53, 1]), None);
    }

    #[test]
    fn a_datagram_cut_inside_its_header_is_dropped() {
        let bytes = header(&Target::new("dns.example", 53).unwrap());
        for cut in 0..bytes.len() {
            assert_eq!(Datagram::parse(&bytes[..cut]), None, "cut after {cut} bytes");
        }
    }

    #[test]
    fn unknown_address_types_and_port_0_are_dropped() {
        assert_eq!(Datagram::parse(&[0, 0, 0, 2, 192, 0, 2, 7, 0, 53, 1]), None);
        assert_eq!(Datagram::parse(&[0, 0, 0, 1, 192, 0, 2, 7, 0, 0, 1]), None);
    }
}
