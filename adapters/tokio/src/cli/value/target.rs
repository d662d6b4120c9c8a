//! Hosts with ports.

use seqlane::Target;

/// Reads `host:port`, or `[address]:port` for IPv6.
pub(crate) fn target(text: &str) -> Result<Target, &'static str> {
    const FORM: &str = "write a host and a port, as in example.org:443 or [2001:db8::1]:443";
    let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or(FORM)?,
        None if host.contains(':') => return Err(FORM),
        None => host,
    };
    let port = port.parse().map_err(|_| FORM)?;
    Target::new(host, port).map_err(|_| FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_kind_have_a_port() {
        for (text, shown) in [("a.example:1", "a.example:1"), ("[::1]:443", "[::1]:443")] {
            assert_eq!(target(text).unwrap().to_string(), shown);
        }
        for text in ["", "a.example", "a.example:", ":80", "a:0", "a:65536", "::1:80", "[::1:80", "[::1]"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
