//! Room `sandbox`: reading a request's JSON the way the Graph API does, with its words for what is
//! wrong. Lengths are counted in Unicode characters.

use serde_json::{Map, Value};

use super::errors::GraphError;

/// A value of the request and the name under which an error speaks of it, as
/// `interactive['action']['buttons'][0]`.
#[derive(Clone)]
pub(crate) struct Param<'a> {
    path: String,
    value: &'a Value,
}

type Checked<T> = Result<T, GraphError>;

impl<'a> Param<'a> {
    /// The request itself.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The name in errors.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value as it is.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// The name of an inner value, as errors write it.
    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}['{key}']", self.path) }
    }

    /// It is an object.
    pub(crate) fn object(&self) -> Checked<&'a Map<String, Value>> {
        let name = if self.path.is_empty() { "body" } else { &self.path };
        let wrong = || GraphError::parameter(format_args!("Param {name} must be a JSON object."));
        self.value.as_object().ok_or_else(wrong)
    }

    /// It is an object with no other keys than these.
    pub(crate) fn only(&self, keys: &[&str]) -> Checked<()> {
        let stranger = self.object()?.keys().find(|key| !keys.contains(&key.as_str()));
        match stranger {
            None => Ok(()),
            Some(key) => Err(GraphError::parameter(format_args!(
                "Unexpected key \"{key}\" on param \"{}\".",
                self.path
            ))),
        }
    }

    /// The value of a key, if it is there and not null.
    pub(crate) fn find(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Self { path: self.path_of(key), value })
    }

    /// The value of a key that must be there.
    pub(crate) fn need(&self, key: &str) -> Checked<Self> {
        self.find(key).ok_or_else(|| GraphError::absent(&self.path_of(key)))
    }

    /// The elements of an array.
    pub(crate) fn items(&self) -> Checked<Vec<Self>> {
        let wrong = || GraphError::parameter(format_args!("Param {} must be an array.", self.path));
        let items = self.value.as_array().ok_or_else(wrong)?;
        let item = |(at, value)| Self { path: format!("{}[{at}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// It is a text.
    pub(crate) fn text(&self) -> Checked<&'a str> {
        let wrong = || GraphError::parameter(format_args!("Param {} must be a string.", self.path));
        self.value.as_str().ok_or_else(wrong)
    }

    /// It is a text or a number, which Meta takes for a text where it expects an id.
    pub(crate) fn text_or_number(&self) -> Checked<String> {
        match self.value {
            Value::Number(number) => Ok(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// It is true or false, also as a text.
    pub(crate) fn flag(&self) -> Checked<bool> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
            _ => Err(GraphError::parameter(format_args!("Param {} must be a boolean.", self.path))),
        }
    }

    /// It is a number within bounds, also as a text.
    pub(crate) fn number(&self, low: f64, high: f64) -> Checked<f64> {
        let number = match self.value {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        };
        number.filter(|number| (low..=high).contains(number)).ok_or_else(|| {
            GraphError::parameter(format_args!(
                "Param {} must be a number between {low} and {high}.",
                self.path
            ))
        })
    }

    /// It is a text of at most so many characters; the Graph layer says so with code 100.
    pub(crate) fn text_up_to(&self, most: usize) -> Checked<&'a str> {
        let text = self.text()?;
        if text.chars().count() > most {
            return Err(GraphError::parameter(format_args!(
                "Param {} must be at most {most} characters long.",
                self.path
            )));
        }
        Ok(text)
    }

    /// It is a text with so many characters; the messaging product says so with code 131009.
    pub(crate) fn text_within(&self, what: &str, least: usize, most: usize) -> Checked<&'a str> {
        let text = self.text()?;
        if !(least..=most).contains(&text.chars().count()) {
            return Err(GraphError::messaging(
                131_009,
                format!("{what} length invalid. Min length: {least}, Max length: {most}"),
            ));
        }
        Ok(text)
    }

    /// It is one of these words, in either case; gives it in lower case.
    pub(crate) fn one_of(&self, words: &[&str]) -> Checked<String> {
        let text = self.text()?.to_ascii_lowercase();
        if words.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(GraphError::parameter(format_args!(
            "Param {} must be one of {{{}}} - got \"{}\".",
            self.path,
            words.join(", ").to_uppercase(),
            self.text()?
        )))
    }

    /// It is the address of something on the web.
    pub(crate) fn web_address(&self) -> Checked<&'a str> {
        let text = self.text()?;
        let address = url::Url::parse(text).ok();
        if address.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Ok(text);
        }
        Err(GraphError::parameter(format_args!(
            "Param {} is not a valid URI: \"{text}\" must be an http or https URL.",
            self.path
        )))
    }
}

/// Counts of things within bounds, told with code 131009.
pub(crate) fn count_within(what: &str, count: usize, least: usize, most: usize) -> Checked<()> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    Err(GraphError::messaging(
        131_009,
        format!("Invalid {what} count. Min allowed {what}: {least}, Max allowed {what}: {most}"),
    ))
}

/// No two are alike, told with code 131009.
pub(crate) fn distinct<'a>(what: &str, texts: impl IntoIterator<Item = &'a str>) -> Checked<()> {
    let mut seen = std::collections::HashSet::new();
    match texts.into_iter().find(|text| !seen.insert(*text)) {
        None => Ok(()),
        Some(_) => Err(GraphError::messaging(131_009, format!("Duplicated {what} is not allowed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(error: GraphError) -> String {
        error.body("")["error"]["message"].as_str().expect("a message").to_owned()
    }

    #[test]
    fn an_error_names_the_place_as_graph_does() {
        let body = json!({"interactive": {"action": {"buttons": [{"type": 7}]}}});
        let action = Param::root(&body).need("interactive").and_then(|it| it.need("action"));
        let action = action.expect("it is there");
        let buttons = action.need("buttons").and_then(|it| it.items()).expect("an array");
        let refused = buttons[0].need("type").and_then(|it| it.text()).expect_err("a number");
        let place = "interactive['action']['buttons'][0]['type']";
        assert_eq!(words(refused), format!("(#100) Param {place} must be a string."));
        let refused = action.need("sections").err().expect("absent");
        let place = "interactive['action']['sections']";
        assert_eq!(words(refused), format!("(#100) The parameter {place} is required."));
        let refused = action.only(&["sections"]).expect_err("a stranger");
        let place = "interactive['action']";
        assert_eq!(
            words(refused),
            format!("(#100) Unexpected key \"buttons\" on param \"{place}\".")
        );
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let body = json!({"to": null});
        assert!(Param::root(&body).find("to").is_none());
        assert!(Param::root(&body).need("to").is_err());
    }

    #[test]
    fn numbers_and_flags_may_be_written_as_texts() {
        let body =
            json!({"latitude": "37.5", "far": 91, "preview": "true", "odd": "perhaps", "id": 17});
        let of = |key: &str| Param::root(&body).need(key).expect("it is there");
        assert_eq!(of("latitude").number(-90.0, 90.0), Ok(37.5));
        assert!(of("far").number(-90.0, 90.0).is_err());
        assert_eq!(of("preview").flag(), Ok(true));
        assert!(of("odd").flag().is_err());
        assert_eq!(of("id").text_or_number(), Ok("17".to_owned()));
    }

    #[test]
    fn lengths_are_counted_in_characters_not_in_bytes() {
        let body = json!({"body": "äöü😀"});
        let text = Param::root(&body).need("body").expect("it is there");
        assert!(text.text_up_to(4).is_ok());
        assert!(text.text_up_to(3).is_err());
        assert!(text.text_within("Body text", 4, 4).is_ok());
        assert_eq!(text.text_within("Body text", 5, 9).map_err(|error| error.code), Err(131_009));
    }

    #[test]
    fn only_the_web_is_a_web_address() {
        let taken = |text: &str| {
            let body = json!({"link": text});
            Param::root(&body).need("link").is_ok_and(|link| link.web_address().is_ok())
        };
        assert!(taken("https://example.com/a?b=c") && taken("http://127.0.0.1:8080/x"));
        assert!(!taken("ftp://example.com/a") && !taken("javascript:alert(1)") && !taken("a.png"));
    }
}
