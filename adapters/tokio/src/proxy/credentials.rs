//! The user name and password that local applications must show.

use seqlane::Secret;

/// A user name and password. `Debug` shows neither.
///
/// ```
/// use seqlane_tokio::proxy::Credentials;
///
/// let credentials = Credentials::new("ann", "correct horse")?;
/// assert_eq!(format!("{credentials:?}"), "Credentials { user: Secret(..), password: Secret(..) }");
/// assert!(Credentials::new("", "").is_err());
/// # Ok::<(), seqlane_tokio::proxy::BadCredentials>(())
/// ```
#[derive(Clone, Debug)]
pub struct Credentials {
    user: Secret,
    password: Secret,
}

impl Credentials {
    /// These credentials.
    ///
    /// # Errors
    /// [`BadCredentials`] when one is empty or longer than the 255 bytes that SOCKS5 can carry, or the user
    /// name has a colon, which HTTP cannot carry.
    pub fn new(user: &str, password: &str) -> Result<Self, BadCredentials> {
        let fits = |text: &str| (1..=255).contains(&text.len());
        if !fits(user) || !fits(password) || user.contains(':') {
            return Err(BadCredentials);
        }
        Ok(Self { user: Secret::new(user), password: Secret::new(password) })
    }

    /// Whether these are the right ones. Both are always compared, in constant time.
    pub(super) fn matches(&self, user: &[u8], password: &[u8]) -> bool {
        let matches =
            |secret: &Secret, bytes| std::str::from_utf8(bytes).is_ok_and(|text| secret.matches(text));
        matches(&self.user, user) & matches(&self.password, password)
    }
}

/// A user name or password that SOCKS5 or HTTP cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCredentials;

impl std::fmt::Display for BadCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("user name and password must have 1 to 255 bytes, and the user name no colon")
    }
}

impl std::error::Error for BadCredentials {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_must_match() {
        let credentials = Credentials::new("ann", "horse").unwrap();
        assert!(credentials.matches(b"ann", b"horse"));
        for (user, password) in [("ann", "hors"), ("bob", "horse"), ("", ""), ("horse", "ann")] {
            assert!(!credentials.matches(user.as_bytes(), password.as_bytes()));
        }
        assert!(!credentials.matches(b"ann", b"\xff"));
    }
}
