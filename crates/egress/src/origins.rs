//! Room `egress`: the services of our own, which alone are told on whose behalf a call is made.

use http::{HeaderMap, HeaderName, HeaderValue};
use misy_core::boundary::{self, BAGGAGE_HEADER, TENANT_HEADER};
use misy_core::{Ctx, Trace};
use url::{Origin, Url};

use crate::Call;

const TRACE_HEADER: &str = "traceparent";

/// What would tell a stranger whose call it is, or how we work inside.
const INNER_HEADERS: [&str; 5] =
    [BAGGAGE_HEADER, TENANT_HEADER, TRACE_HEADER, "tracestate", "x-request-id"];

/// The origins (scheme, host and port) of services of ours, as the operator lists them.
pub(crate) struct Origins(Vec<Origin>);

impl Origins {
    /// Takes those that are origins; the configuration has refused the others.
    pub(crate) fn read(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| read(text)).collect())
    }

    /// The headers of a call. Those that name tenant, trace and request are never the caller's: an
    /// own service gets the context's, everybody else none.
    pub(crate) fn headers(&self, call: &Call, ctx: &Ctx, trace: Trace) -> HeaderMap {
        let mut headers = call.headers.clone();
        for name in INNER_HEADERS {
            headers.remove(name);
        }
        if !self.0.contains(&call.url.origin()) {
            return headers;
        }
        let told = [
            (BAGGAGE_HEADER, boundary::baggage(ctx)),
            (TRACE_HEADER, trace.to_string()),
            ("x-request-id", ctx.request().to_string()),
        ];
        for (name, text) in told {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

/// `https://host[:port]` or `http://host[:port]` and nothing behind it.
pub(crate) fn read(text: &str) -> Option<Origin> {
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let web = matches!(url.scheme(), "http" | "https") && url.username().is_empty();
    (bare && web && url.password().is_none()).then(|| url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_is_an_origin() {
        let good = ["https://own.example", "http://127.0.0.1:8080/", "https://[::1]:1"];
        assert!(good.iter().all(|text| read(text).is_some()));
        let bad = [
            "own.example",
            "https://own.example/api",
            "https://own.example?x",
            "https://a:b@own.example",
            "ftp://own.example",
            "*",
            "",
        ];
        assert!(bad.iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn a_name_that_looks_alike_and_another_port_are_strangers() {
        let own = Origins::read(&["https://own.example".to_owned()]);
        let is_own = |text: &str| own.0.contains(&Url::parse(text).expect("a URL").origin());
        assert!(is_own("https://own.example/a?b") && is_own("https://OWN.example:443/"));
        let strangers = [
            "http://own.example/",
            "https://own.example:8443/",
            "https://own.example.evil.test/",
            "https://evil.test/own.example",
            "https://own.example@evil.test/",
            "https://sub.own.example/",
        ];
        assert!(strangers.iter().all(|text| !is_own(text)));
    }
}
