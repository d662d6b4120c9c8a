//! Targets of redirects.

use http::header::LOCATION;
use http::{Response, StatusCode, Uri};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};

/// Redirects followed per exchange. Hosted relays need one; deployed clients follow five.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Whether this status tells the client to fetch the answer elsewhere. All are followed with a GET and no body: a
/// hosted relay has executed the batch already when it redirects to the answer.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The location of a redirect from `base`; `None` when there is none that may be followed. HTTPS never leads to HTTP:
/// the answer would be sent in clear text.
pub(super) fn target<B>(base: &Uri, response: &Response<B>) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let base_text = base.to_string();
    let resolved = UriReferenceStr::new(location)
        .ok()?
        .resolve_against(UriAbsoluteStr::new(&base_text).ok()?)
        .to_string();
    let without_fragment = resolved.split('#').next().unwrap_or_default();
    let target: Uri = without_fragment.parse().ok()?;
    let allowed = match (base.scheme_str(), target.scheme_str()) {
        (Some("https"), Some("https")) => true,
        (Some("http"), Some(scheme)) => matches!(scheme, "http" | "https"),
        _ => false,
    };
    (allowed && target.host().is_some()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(base: &str, location: &str) -> Option<String> {
        let response = Response::builder().header(LOCATION, location).body(()).unwrap();
        target(&base.parse().unwrap(), &response).map(|uri| uri.to_string())
    }

    #[test]
    fn locations_resolve_against_the_redirecting_uri() {
        for (location, expected) in [
            ("https://other/answer?id=1", "https://other/answer?id=1"),
            ("//other/answer", "https://other/answer"),
            ("/answer", "https://relay:8443/answer"),
            ("answer?x", "https://relay:8443/a/answer?x"),
            ("../up", "https://relay:8443/up"),
            ("?only", "https://relay:8443/a/b?only"),
            ("/answer#part", "https://relay:8443/answer"),
        ] {
            assert_eq!(from("https://relay:8443/a/b?q=1", location).as_deref(), Some(expected), "{location}");
        }
    }

    #[test]
    fn https_never_leads_to_http() {
        assert_eq!(from("https://relay/", "http://relay/answer"), None);
        assert_eq!(from("http://relay/", "https://relay/answer").as_deref(), Some("https://relay/answer"));
    }

    #[test]
    fn invalid_locations_are_not_followed() {
        for location in ["", "data:text/plain,x", "ftp://relay/", "http://[bad", "file:///etc"] {
            let followed = from("http://relay/x", location);
            assert!(followed.is_none() || location.is_empty(), "{location} led to {followed:?}");
        }
        assert_eq!(target(&"http://relay/".parse().unwrap(), &Response::new(())), None);
    }
}
