//! Room `integration`: a request as it came, and what is found in it.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::HeaderMap;
use serde_json::Value;
use url::Url;

use super::scheme::Part;

/// A request as it came, byte for byte.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// `POST`, as it is signed by some.
    pub method: &'a str,
    /// The address as the sender has it, with the query.
    pub url: Url,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    json: OnceLock<Value>,
}

impl<'a> Incoming<'a> {
    /// A request.
    pub fn new(method: &'a str, url: Url, headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { method, url, headers, body, json: OnceLock::new() }
    }

    /// The body as JSON; `null` if it is none.
    pub(crate) fn json(&self) -> &Value {
        self.json.get_or_init(|| serde_json::from_slice(self.body).unwrap_or_default())
    }

    /// A header, if there is exactly one of that name and it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).into_iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let found = self.url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    }

    /// The fields of a form, decoded, in their order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let pairs = url::form_urlencoded::parse(self.body);
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// Everything that the part names.
    pub(crate) fn find_all(&self, part: &Part) -> Vec<Cow<'_, str>> {
        match part {
            Part::Header(name) => self.header(name).map(Cow::Borrowed).into_iter().collect(),
            Part::Field { header, name } => {
                let list = self.header(header).unwrap_or_default();
                let pairs = list.split([',', ';']).filter_map(|one| one.trim().split_once('='));
                pairs
                    .filter(|(key, _)| key == name)
                    .map(|(_, value)| Cow::Borrowed(value))
                    .collect()
            }
            Part::Json(pointer) => text(self.json().pointer(pointer)).into_iter().collect(),
            Part::Each { list, pointer } => {
                let list = self.json().pointer(list).and_then(Value::as_array);
                let all = list.into_iter().flatten();
                all.map(|one| text(one.pointer(pointer)).unwrap_or_default()).collect()
            }
            Part::Form(name) => {
                let form = self.form().into_iter();
                form.filter(|(key, _)| key == name).map(|(_, value)| value.into()).collect()
            }
            Part::Query(name) => self.query(name).map(Cow::Owned).into_iter().collect(),
        }
    }

    /// The first of what the part names.
    pub(crate) fn find(&self, part: &Part) -> Option<Cow<'_, str>> {
        self.find_all(part).into_iter().find(|found| !found.is_empty())
    }
}

fn text(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
