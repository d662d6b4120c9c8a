//! The guard of a node's own network: by default, only public addresses may be reached.
//!
//! The check comes after name resolution, on the very address that is connected to, so that a name that
//! resolves to a private address gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Decides which addresses may be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    allow_private: bool,
}

impl Guard {
    pub(super) const fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }

    /// Whether a flow may go to this address.
    pub(super) fn permits(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Ranges of the IANA IPv4 special-purpose registry that are not the public internet, as prefix and length.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network, and unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, with the metadata services of cloud hosts
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, withdrawn
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
    (Ipv4Addr::BROADCAST, 32),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|(prefix, len)| {
        let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
        address.to_bits() & mask == prefix.to_bits()
    })
}

/// The same for IPv6.
const SPECIAL_V6: [(Ipv6Addr, u32); 11] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48), // NAT64 of one's own network
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),     // discard
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),    // documentation
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),    // segment routing
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),     // unique local
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),    // link-local
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),    // site-local, withdrawn
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),     // multicast
];

fn is_public_v6(address: Ipv6Addr) -> bool {
    let special = SPECIAL_V6.iter().any(|(prefix, len)| {
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        address.to_bits() & mask == prefix.to_bits()
    });
    !special && embedded_v4(address).is_none_or(is_public_v4)
}

/// The IPv4 address that traffic to this IPv6 address may end up at.
pub(super) const fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = match [a, b, c, d, e, f] {
        // Mapped, compatible (withdrawn), translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => [g, h],
        [0x2002, high, low, ..] => [high, low], // 6to4
        [0x2001, 0, ..] => [!g, !h],            // Teredo
        _ => return None,
    };
    let [high, low] = embedded;
    Some(Ipv4Addr::from_bits(((high as u32) << 16) | low as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(address: &str) -> bool {
        Guard::new(false).permits(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_permitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450:4001::200e",
        ] {
            assert!(permits(address), "{address}");
        }
    }

    #[test]
    fn each_ipv4_range_is_refused_from_its_first_address_to_its_last() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "255.255.255.255"),
        ] {
            assert!(!permits(first), "{first}");
            assert!(!permits(last), "{last}");
        }
    }

    #[test]
    fn the_neighbours_of_each_ipv4_range_are_permitted() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
        ] {
            assert!(permits(address), "{address}");
        }
    }

    #[test]
    fn each_ipv6_range_is_refused_from_its_first_address_to_its_last() {
        for (first, last) in [
            ("::", "::1"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
            ("100::", "100::ffff:ffff:ffff:ffff"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(!permits(first), "{first}");
            assert!(!permits(last), "{last}");
        }
        for address in ["2001:db7:ffff::1", "2001:db9::1", "fbff::1", "3ffe::1", "4000::1", "fe7f::1"] {
            assert!(permits(address), "{address}");
        }
    }

    #[test]
    fn private_ipv4_addresses_are_refused_in_every_ipv6_disguise() {
        for (private, public) in [
            ("::ffff:127.0.0.1", "::ffff:1.1.1.1"),
            ("::10.0.0.1", "::1.1.1.1"),
            ("::ffff:0:192.168.1.1", "::ffff:0:1.1.1.1"),
            ("64:ff9b::169.254.169.254", "64:ff9b::1.1.1.1"),
            ("2002:7f00:1::", "2002:101:101::"),
            ("2002:c0a8:101:1::2", "2002:808:808:1::2"),
            // Teredo keeps the bits of its client's address inverted.
            ("2001:0:101:101:0:0:80ff:fffe", "2001:0:101:101:0:0:fefe:fefe"),
        ] {
            assert!(!permits(private), "{private}");
            assert!(permits(public), "{public}");
        }
    }

    #[test]
    fn a_node_that_allows_private_targets_permits_everything() {
        for address in ["127.0.0.1", "::1", "10.1.2.3", "fe80::1", "1.1.1.1"] {
            assert!(Guard::new(true).permits(address.parse().unwrap()), "{address}");
        }
    }
}
