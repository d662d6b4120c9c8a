//! Access rules: which targets a user may open.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use seqlane::Target;

use super::guard::embedded_v4;

/// The targets that a user may open. By default: all.
///
/// A pattern is `HOST:PORT`. HOST is a name in which `*` stands for any text (`*.example.com` is no `example.com`), an
/// address, or a range of addresses (`10.0.0.0/8`, `[2001:db8::/32]`). PORT is a number, a range (`8000-8999`) or `*`.
/// Names are compared with the host that was asked for, addresses with every address that the host has.
///
/// ```
/// use seqlane_tokio::node::Access;
///
/// let web = Access::new(["*:443", "*:80"], ["10.0.0.0/8:*"])?;
/// assert!(web.permits(&"example.org:443".parse()?, None));
/// assert!(!web.permits(&"example.org:443".parse()?, Some([10, 0, 0, 1].into())));
/// assert!(!web.permits(&"example.org:22".parse()?, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Empty if everything is allowed.
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

impl Access {
    /// What one of `allow` matches, everything if that is empty, and none of `deny` does.
    ///
    /// # Errors
    /// [`BadPattern`] has the first text that is no pattern.
    pub fn new<T: AsRef<str>>(
        allow: impl IntoIterator<Item = T>,
        deny: impl IntoIterator<Item = T>,
    ) -> Result<Self, BadPattern> {
        let allow = allow.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?;
        let deny = deny.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { allow, deny })
    }

    /// Nothing at all.
    pub(super) fn nothing() -> Self {
        let everything = Pattern { host: Host::Name("*".into()), ports: 1..=u16::MAX };
        Self { allow: Vec::new(), deny: vec![everything] }
    }

    /// Whether the target may be opened at this address, which is one of those that its host has.
    pub fn permits(&self, target: &Target, address: Option<IpAddr>) -> bool {
        let matches = |pattern: &Pattern| {
            pattern.matches_name(target)
                || address.is_some_and(|at| pattern.matches_address(at, target.port()))
        };
        !self.deny.iter().any(matches) && (self.allow.is_empty() || self.allow.iter().any(matches))
    }

    /// Whether the target may be opened if its addresses are right.
    pub(super) fn may_permit(&self, target: &Target) -> bool {
        let allows =
            |pattern: &Pattern| pattern.matches_name(target) || pattern.waits_for_address(target.port());
        !self.deny.iter().any(|pattern| pattern.matches_name(target))
            && (self.allow.is_empty() || self.allow.iter().any(allows))
    }
}

/// A text that is no pattern of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    text: Box<str>,
    reason: &'static str,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.text, self.reason)
    }
}

impl std::error::Error for BadPattern {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// In lower case, and without a dot at the end.
    Name(Box<str>),
    /// An address, and how many of its bits count.
    Range(IpAddr, u32),
}

impl Pattern {
    fn matches_name(&self, target: &Target) -> bool {
        let name = target.host().trim_end_matches('.').to_ascii_lowercase();
        matches!(&self.host, Host::Name(pattern) if fits(pattern.as_bytes(), name.as_bytes()))
            && self.ports.contains(&target.port())
    }

    fn matches_address(&self, address: IpAddr, port: u16) -> bool {
        let Host::Range(range, len) = self.host else { return false };
        let same = match (range, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => same_v4(range.to_bits(), address.to_bits(), len),
            (IpAddr::V4(range), IpAddr::V6(address)) => {
                embedded_v4(address).is_some_and(|address| same_v4(range.to_bits(), address.to_bits(), len))
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
                (range.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        same && self.ports.contains(&port)
    }

    /// Whether it may match an address of a host with any name.
    fn waits_for_address(&self, port: u16) -> bool {
        matches!(self.host, Host::Range(..)) && self.ports.contains(&port)
    }
}

fn same_v4(range: u32, address: u32, len: u32) -> bool {
    let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
    (range ^ address) & mask == 0
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last `*` is, and up to where it has eaten the name.
    let mut star = None;
    while read < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if pattern.get(at) == name.get(read) {
            (at, read) = (at + 1, read + 1);
        } else if let Some((place, eaten)) = star {
            star = Some((place, eaten + 1));
            (at, read) = (place + 1, eaten + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = |reason| BadPattern { text: text.into(), reason };
        let (host, ports) = text.rsplit_once(':').ok_or_else(|| bad(NO_PATTERN))?;
        Ok(Self {
            host: host_of(host).map_err(bad)?,
            ports: ports_of(ports).ok_or_else(|| bad("a port is a number from 1 to 65535, a range, or *"))?,
        })
    }
}

const NO_PATTERN: &str =
    "is no HOST:PORT, such as *.example.com:443, 10.0.0.0/8:* or [2001:db8::/32]:8000-8999";

fn ports_of(text: &str) -> Option<RangeInclusive<u16>> {
    if text == "*" {
        return Some(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last).then_some(first..=last)
}

fn host_of(text: &str) -> Result<Host, &'static str> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.replacen(']', "", 1),
        None if text.contains(':') => return Err("an IPv6 address stands in brackets"),
        None => text.to_owned(),
    };
    let (address, len) = bare.split_once('/').map_or((&*bare, None), |(address, len)| (address, Some(len)));
    if let Ok(address) = address.parse::<IpAddr>() {
        return range_of(address, len).ok_or("the length of a range is at most 32, or 128 for IPv6");
    }
    let is_name = |c: char| !c.is_control() && !c.is_whitespace() && !"[]/:".contains(c);
    if bare != text || bare.is_empty() || !bare.chars().all(is_name) {
        Err(NO_PATTERN)
    } else if bare.chars().all(|c| matches!(c, '0'..='9' | '.' | '*')) && !bare.trim_matches('*').is_empty() {
        Err("looks like an address, and is none: write ranges of addresses as 10.0.0.0/8")
    } else {
        Ok(Host::Name(bare.trim_end_matches('.').to_ascii_lowercase().into()))
    }
}

/// A range of addresses. One of IPv4 addresses that are written as IPv6 is one of IPv4.
fn range_of(address: IpAddr, len: Option<&str>) -> Option<Host> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    let len: u32 = len.map_or(Some(most), |len| len.parse().ok())?;
    match address.to_canonical() {
        _ if len > most => None,
        IpAddr::V4(v4) if address.is_ipv6() && len >= 96 => Some(Host::Range(v4.into(), len - 96)),
        _ => Some(Host::Range(address, len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(access: &Access, target: &str, address: Option<&str>) -> bool {
        access.permits(&target.parse().unwrap(), address.map(|address| address.parse().unwrap()))
    }

    #[test]
    fn without_an_allow_list_everything_is_allowed_that_is_not_denied() {
        let open = Access::default();
        assert!(permits(&open, "example.org:22", Some("192.0.2.1")));
        let access = Access::new([], ["*.example.org:*", "192.0.2.0/24:25"]).unwrap();
        assert!(permits(&access, "example.org:22", Some("192.0.2.1")));
        assert!(!permits(&access, "www.example.org:22", Some("192.0.2.1")));
        assert!(!permits(&access, "example.org:25", Some("192.0.2.1")));
        assert!(permits(&access, "example.org:25", Some("192.0.3.1")));
    }

    #[test]
    fn deny_wins_over_allow() {
        let access = Access::new(["*:443", "10.0.0.0/8:*"], ["bad.example:443", "10.1.0.0/16:*"]).unwrap();
        assert!(permits(&access, "good.example:443", None) && !permits(&access, "bad.example:443", None));
        assert!(permits(&access, "any.example:22", Some("10.2.0.1")));
        assert!(!permits(&access, "good.example:443", Some("10.1.0.1")));
    }

    #[test]
    fn names_are_compared_without_case_and_final_dot() {
        let access = Access::new(["*.Example.ORG:443"], []).unwrap();
        assert!(permits(&access, "WWW.example.org.:443", None));
        assert!(
            !permits(&access, "example.org:443", None) && !permits(&access, "www.example.org.evil:443", None)
        );
        let middle = Access::new(["a*b*c:1-65535"], []).unwrap();
        assert!(permits(&middle, "a-b-b-c:9", None) && permits(&middle, "abc:9", None));
        assert!(!permits(&middle, "a-b-c-d:9", None) && !permits(&middle, "ac:9", None));
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_it_is_written() {
        for pattern in ["10.0.0.0/8:*", "[::ffff:10.0.0.0/104]:*"] {
            let access = Access::new([], [pattern]).unwrap();
            for address in ["10.9.9.9", "::ffff:10.9.9.9", "64:ff9b::10.9.9.9"] {
                assert!(!permits(&access, "name.example:80", Some(address)), "{pattern} {address}");
            }
            assert!(permits(&access, "name.example:80", Some("11.0.0.1")), "{pattern}");
        }
        let access = Access::new([], ["[2001:db8::]/32:*", "0.0.0.0/0:25"]).unwrap();
        assert!(!permits(&access, "name.example:80", Some("2001:db8::9")));
        assert!(!permits(&access, "name.example:25", Some("11.0.0.1")));
    }

    #[test]
    fn a_name_is_not_looked_up_when_no_address_could_help() {
        let may = |access: &Access, target: &str| access.may_permit(&target.parse().unwrap());
        let access = Access::new(["*.example:443", "10.0.0.0/8:22"], ["bad.example:*"]).unwrap();
        assert!(may(&access, "good.example:443") && may(&access, "host.test:22"));
        assert!(!may(&access, "bad.example:443") && !may(&access, "host.test:80"));
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (text, words) in [
            ("example.org", "is no HOST:PORT"),
            ("", "is no HOST:PORT"),
            (":443", "is no HOST:PORT"),
            ("exa mple:443", "is no HOST:PORT"),
            ("example.org:0", "a port is"),
            ("example.org:9-8", "a port is"),
            ("example.org:https", "a port is"),
            ("10.0.0.0/33:*", "the length of a range"),
            ("10.*:*", "looks like an address"),
            ("10.0.0.256:*", "looks like an address"),
            ("2001:db8::1", "an IPv6 address stands in brackets"),
            ("[example.org]:443", "is no HOST:PORT"),
        ] {
            let error = Access::new([text], []).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(text), "{text}: {error}");
        }
    }
}
