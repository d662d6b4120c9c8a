//! Exponential backoff.

use core::time::Duration;

/// `first`, doubled `times` times, at most `longest`.
pub(super) fn backoff(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_bound_however_often() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(60));
        let table = [(0, 5), (1, 10), (3, 40), (4, 60), (31, 60), (32, 60), (u32::MAX, 60)];
        for (times, seconds) in table {
            assert_eq!(backoff(first, times, longest), Duration::from_secs(seconds), "{times}");
        }
    }
}
