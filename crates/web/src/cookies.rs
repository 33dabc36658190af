//! Room `web`: sessions of browsers in cookies that no script reads and no other host sets, and the
//! question whether the page that calls may use them.

use axum::extract::FromRequestParts;
use http::header::{COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use misy_core::{Code, Secret};

use crate::Problem;

/// Holds the access token. `__Host-` makes a browser refuse it from anywhere but this host, by
/// https, for every path
/// ([RFC 6265bis](https://datatracker.ietf.org/doc/draft-ietf-httpbis-rfc6265bis/) section 4.1.3).
pub const ACCESS_COOKIE: &str = "__Host-misybot";
/// Holds the refresh token.
pub const REFRESH_COOKIE: &str = "__Host-misybot-refresh";

/// A cookie that scripts cannot read and that comes from no page of another site.
pub fn cookie(name: &str, value: &Secret, max_age_s: u64) -> Option<HeaderValue> {
    let value = value.expose();
    let text =
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; Secure; HttpOnly; SameSite=Strict");
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Both cookies, gone.
pub fn no_cookies() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static(
            "__Host-misybot=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
        ),
        HeaderValue::from_static(
            "__Host-misybot-refresh=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
        ),
    ]
}

/// The value of a cookie. One that was sent twice is none: which of them is ours nobody knows.
pub fn read_cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values =
        pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    let first = values.next().filter(|value| !value.is_empty() && value.len() <= 8_192)?;
    values.next().is_none().then(|| Secret::new(first))
}

/// The credential that let a request in.
#[derive(Debug, Clone)]
pub struct Presented {
    /// An access token or an API key.
    pub credential: Secret,
    /// Whether a browser sent it by itself, as a cookie.
    pub by_cookie: bool,
}

impl<S: Sync> FromRequestParts<S> for Presented {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let presented = parts.extensions.get().cloned();
        presented.ok_or_else(|| Problem::new(Code::Unauthenticated))
    }
}

/// From what kind of page a request comes, as far as the browser says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// From this very origin, or from none: typed by the person.
    Own,
    /// From another origin.
    Foreign(String),
    /// Nothing says so: no browser, or one that is too old to be trusted with cookies.
    Unknown,
}

/// Reads [fetch metadata](https://www.w3.org/TR/fetch-metadata/), which no script can set, and
/// `Origin` where there is none.
pub(crate) fn page(headers: &HeaderMap) -> Page {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(ORIGIN.as_str());
    let foreign = || Page::Foreign(origin.unwrap_or("null").to_owned());
    match (text("sec-fetch-site"), origin) {
        (Some("same-origin" | "none"), _) => Page::Own,
        (Some(_), _) => foreign(),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            let same = host.is_some() && host == text(HOST.as_str());
            if same { Page::Own } else { foreign() }
        }
        (None, None) => Page::Unknown,
    }
}

/// Whether a page may make the program use or set cookies, found out at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayUseCookies(pub(crate) bool);

impl MayUseCookies {
    /// 403 unless it may.
    pub fn require(self) -> Result<(), Problem> {
        if self.0 { Ok(()) } else { Err(stranger()) }
    }
}

impl<S: Sync> FromRequestParts<S> for MayUseCookies {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(false)))
    }
}

/// The refusal of a page that may not.
pub(crate) fn stranger() -> Problem {
    Problem::new(Code::CrossSite)
}

/// What only looks is refused to no page: whether it may read the answer, the browser asks.
pub(crate) fn is_harmless(method: &Method) -> bool {
    method.is_safe()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_browser_that_says_where_a_page_is_from_is_believed() {
        let own = [("sec-fetch-site", "same-origin"), ("origin", "https://api.example")];
        assert_eq!(page(&headers(&own)), Page::Own);
        for site in ["cross-site", "same-site", "nonsense"] {
            let sent = [
                ("sec-fetch-site", site),
                ("origin", "https://evil.example"),
                ("host", "evil.example"),
            ];
            let expected = Page::Foreign("https://evil.example".to_owned());
            assert_eq!(page(&headers(&sent)), expected, "{site}");
        }
    }

    #[test]
    fn an_old_browser_is_judged_by_its_origin_and_silence_is_no_page() {
        let host = ("host", "api.example");
        assert_eq!(page(&headers(&[host, ("origin", "https://api.example")])), Page::Own);
        for origin in ["https://evil.example", "null", "https://api.example.evil.example", "x"] {
            let sent = headers(&[host, ("origin", origin)]);
            assert_eq!(page(&sent), Page::Foreign(origin.to_owned()));
        }
        assert_eq!(page(&headers(&[host])), Page::Unknown);
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_never_of_two() {
        let sent = headers(&[("cookie", "a=1; __Host-misybot=eyJ; __Host-misybot-refresh=mbr_x")]);
        let read = |headers, name| read_cookie(headers, name).map(|it| it.expose().to_owned());
        assert_eq!(read(&sent, ACCESS_COOKIE).as_deref(), Some("eyJ"));
        assert_eq!(read(&sent, REFRESH_COOKIE).as_deref(), Some("mbr_x"));
        let twice = headers(&[("cookie", "__Host-misybot=one; __Host-misybot=two")]);
        assert_eq!(read(&twice, ACCESS_COOKIE), None);
        let empty = headers(&[("cookie", "__Host-misybot=")]);
        assert_eq!(read(&empty, ACCESS_COOKIE), None);
        let other = headers(&[("cookie", "misybot=eyJ; x__Host-misybot=eyJ")]);
        assert_eq!(read(&other, ACCESS_COOKIE), None);
    }

    #[test]
    fn cookies_are_for_this_host_https_and_no_script() {
        let made = cookie(ACCESS_COOKIE, &Secret::new("eyJ"), 300).expect("a header");
        assert!(made.is_sensitive());
        let text = made.to_str().expect("ASCII");
        assert_eq!(
            text,
            "__Host-misybot=eyJ; Path=/; Max-Age=300; Secure; HttpOnly; SameSite=Strict"
        );
        for gone in no_cookies() {
            let text = gone.to_str().expect("ASCII").to_owned();
            assert!(text.contains("Max-Age=0") && text.starts_with("__Host-"), "{text}");
            assert!(!text.contains("Domain"), "{text}");
        }
        assert!(cookie(ACCESS_COOKIE, &Secret::new("a\r\nb"), 1).is_none());
    }
}
