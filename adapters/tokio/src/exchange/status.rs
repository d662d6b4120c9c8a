//! HTTP statuses as failures of an exchange.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use seqlane::ExchangeFailure;

/// The longest wait that a relay can ask for: a wrong clock or unit must not cost a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The failure for a status other than 200 that answers the request itself, and not a GET after a redirect.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap) -> ExchangeFailure {
    let retry_after = retry_after(headers, SystemTime::now());
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN => ExchangeFailure::Refused { retry_after },
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => ExchangeFailure::Refused { retry_after },
        StatusCode::PAYLOAD_TOO_LARGE => ExchangeFailure::TooLarge,
        _ => ExchangeFailure::Garbage,
    }
}

/// `Retry-After` in either form of RFC 9110 section 10.2.3.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())])
    }

    #[test]
    fn refusals_carry_the_wait_that_the_relay_asked_for() {
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE]
        {
            assert_eq!(
                failure(status, &headers("7")),
                ExchangeFailure::Refused { retry_after: Some(Duration::from_secs(7)) }
            );
        }
        assert_eq!(
            failure(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new()),
            ExchangeFailure::Refused { retry_after: None }
        );
    }

    #[test]
    fn a_busy_relay_that_names_no_wait_gave_no_answer() {
        assert_eq!(failure(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()), ExchangeFailure::Garbage);
    }

    #[test]
    fn a_body_that_is_too_large_is_told_apart_and_the_rest_is_garbage() {
        assert_eq!(failure(StatusCode::PAYLOAD_TOO_LARGE, &HeaderMap::new()), ExchangeFailure::TooLarge);
        for status in [201, 204, 400, 404, 500, 502, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(failure(status, &HeaderMap::new()), ExchangeFailure::Garbage, "{status}");
        }
    }

    #[test]
    fn a_date_is_a_wait_from_now() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let later = headers("Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(retry_after(&later, now), Some(Duration::from_secs(30)));
        let past = headers("Sun, 06 Nov 1994 08:00:00 GMT");
        assert_eq!(retry_after(&past, now), Some(Duration::ZERO));
    }

    #[test]
    fn absurd_waits_are_an_hour_and_nonsense_is_none() {
        for absurd in ["86400", "99999999999999999999999", "Thu, 06 Nov 2994 08:49:37 GMT"] {
            assert_eq!(retry_after(&headers(absurd), SystemTime::now()), Some(MAX_RETRY_AFTER), "{absurd}");
        }
        for nonsense in ["", "soon", "-5", "1.5"] {
            assert_eq!(retry_after(&headers(nonsense), SystemTime::now()), None, "{nonsense}");
        }
    }
}
