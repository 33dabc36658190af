//! Room `server`: one question to the program, and what of its answer may differ from another's.

use bytes::Bytes;
use http::Method;
use misy_bench::http::Connection;
use regex::Regex;
use serde_json::Value;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Ask {
    /// A question without anything but its address.
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        let method = method.parse().expect("a method");
        Self { method, path: path.into(), ..Self::default() }
    }

    /// With a credential.
    pub(crate) fn by(mut self, bearer: Option<&str>) -> Self {
        self.bearer = bearer.map(str::to_owned);
        self
    }

    /// With a body: JSON, or a form as one text.
    pub(crate) fn with(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With one more parameter of the query.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        let value = value.replace('+', "%2B");
        self.path = format!("{}{mark}{name}={value}", self.path);
        self
    }

    /// Puts it.
    pub(crate) async fn put(&self, host: &str) -> Answer {
        let authorization = self.bearer.as_ref().map(|bearer| format!("Bearer {bearer}"));
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend(authorization.as_deref().map(|text| ("authorization", text)));
        let mut sent = Bytes::new();
        if let Value::String(form) = &self.body {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            sent = form.clone().into();
        } else if !self.body.is_null() {
            headers.push(("content-type", "application/json"));
            sent = serde_json::to_vec(&self.body).expect("JSON").into();
        }
        let mut connection = Connection::open(host).await.expect("connected");
        let answer = connection.exchange(self.method.clone(), &self.path, &headers, sent).await;
        let (head, body) = answer.expect("an answer").into_parts();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: Vec<(String, String)> =
            head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        headers.sort();
        Answer { status: head.status.as_u16(), headers, body }
    }
}

/// What came back, to the byte.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Whether it did what was asked, or sends the browser on.
    pub(crate) fn is_success(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Everything that came over the wire.
    pub(crate) fn whole(&self) -> String {
        let lines: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\n{}\n\n{}", self.status, lines.join("\n"), String::from_utf8_lossy(&self.body))
    }

    /// Everything but what differs between two answers to the very same question: the request's id,
    /// the date, and how much of a limit is left.
    pub(crate) fn comparable(&self) -> String {
        let id = self.headers.iter().find(|(name, _)| name == "x-request-id");
        let text = match id {
            Some((_, id)) => self.whole().replace(id, "<request>"),
            None => self.whole(),
        };
        let text = replaced(&text, r"(?m)^date: .*$", "date: <now>");
        replaced(&text, r"r=\d+;t=\d+", "r=<left>;t=<left>")
    }

    /// For two answers that each made something: also without ids, times and secrets that are new
    /// each time, and without the value that was asked about.
    pub(crate) fn settled(&self, value: &str) -> String {
        let text = self.comparable().replace(value, "<it>");
        let text = replaced(&text, "w[0-9a-f]{19}", "<word>");
        let text = replaced(&text, r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}", "<id>");
        let text = replaced(&text, r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>");
        let text = replaced(&text, r#""version":(\d+|"\\"v\d+\\"")|(?m)^etag: .*$"#, "<version>");
        let text = replaced(
            &text,
            "\"(secret|prefix|access_token|refresh_token|visitor_token)\":\"[^\"]*\"",
            "<secret>",
        );
        let text = replaced(&text, "\"(external_id|slug|site_id|email)\":\"[^\"]*\"", "<new>");
        let text = replaced(&text, r"(?m)^(location: [^?\n]*|set-cookie: [^=\n]*).*$", "$1<new>");
        replaced(&text, r"(?m)^content-length: .*$", "content-length: <length>")
    }
}

fn replaced(text: &str, pattern: &str, by: &str) -> String {
    Regex::new(pattern).expect("a pattern").replace_all(text, by).into_owned()
}
