//! Room `identity`: searches of the `OpenID` `AuthZEN` Authorization API 1.0, and their pages.

use data_encoding::BASE64URL_NOPAD;
use misy_core::crypto::sha256;
use serde_json::{Value as Json, json};

use crate::evaluations::model::{Asked, Reason, object, read_asked, text};

/// Results of one page, if the request does not say how many.
const LIMIT: usize = 100;
/// Results of one page at most.
const LIMIT_MAX: usize = 1_000;
/// How much of its search a token carries along.
const DIGEST_BYTES: usize = 12;

/// What is searched for; of it a type is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sought {
    Subject,
    Resource,
}

impl Sought {
    fn member(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Resource => "resource",
        }
    }
}

/// A search as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) sought: Sought,
    /// The type of what is sought.
    pub(crate) kind: String,
    /// The question, in which what is sought has no id.
    pub(crate) asked: Asked,
    /// The last id of the page before.
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
    digest: [u8; DIGEST_BYTES],
}

impl Search {
    /// Reads a body. An id of what is sought is passed over, as the specification demands.
    pub(crate) fn read(body: &[u8], sought: Sought) -> Result<Self, Reason> {
        let mut json: Json =
            serde_json::from_slice(body).map_err(|_| "the body has to be JSON".to_owned())?;
        let name = sought.member();
        object(&json, "the request")?;
        let one = json.get(name).filter(|one| !one.is_null());
        let one = object(one.ok_or_else(|| format!("`{name}` is missing"))?, name)?;
        let kind = text(one, "type", name)?.to_owned();
        json[name]["id"] = json!("");
        let page = json.get("page").filter(|page| !page.is_null()).cloned();
        let asked = read_asked(&json)?;
        let digest = digest(sought, &json);
        let (mut after, mut limit) = (None, LIMIT);
        if let Some(page) = page {
            let page = object(&page, "page")?;
            if let Some(token) = page.get("token").filter(|token| !token.is_null()) {
                after = last_of(token, &digest)?;
            }
            if let Some(wanted) = page.get("limit").filter(|limit| !limit.is_null()) {
                let wanted = wanted.as_u64().filter(|wanted| *wanted > 0);
                let wanted = wanted.ok_or("`page.limit` has to be a number from 1")?;
                limit = usize::try_from(wanted).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
            }
        }
        Ok(Self { sought, kind, asked, after, limit, digest })
    }

    /// What asks for the page after this id.
    pub(crate) fn token(&self, last: &str) -> String {
        BASE64URL_NOPAD.encode(&[&self.digest[..], last.as_bytes()].concat())
    }
}

/// What makes one search the same as another, whatever the order of its members.
fn digest(sought: Sought, json: &Json) -> [u8; DIGEST_BYTES] {
    let part = |name: &str| json.get(name).cloned().unwrap_or_default();
    let parts = ["subject", "action", "resource", "context"].map(part);
    let mut whole = json!([sought.member(), parts]);
    whole.sort_all_objects();
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&sha256(whole.to_string().as_bytes())[..DIGEST_BYTES]);
    digest
}

/// The id that a token leads on from; it has to be of the same search.
fn last_of(token: &Json, digest: &[u8]) -> Result<Option<String>, Reason> {
    let refused = || "`page.token` is not of this search".to_owned();
    let token = token.as_str().ok_or_else(refused)?;
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| refused())?;
    let last = bytes.strip_prefix(digest).ok_or_else(refused)?;
    Ok(Some(String::from_utf8(last.to_vec()).map_err(|_| refused())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Json) -> Result<Search, Reason> {
        Search::read(body.to_string().as_bytes(), Sought::Subject)
    }

    fn body() -> Json {
        json!({"subject": {"type": "user", "id": "ignored"}, "action": {"name": "read"},
            "resource": {"type": "record", "id": "1", "properties": {"a": 1, "b": 2}}})
    }

    #[test]
    fn a_token_leads_on_in_its_own_search_and_in_no_other() {
        let token = read(&body()).expect("a search").token("ana");
        let mut next = body();
        next["page"] = json!({"token": token, "limit": 5_000});
        next["subject"] = json!({"type": "user"});
        next["resource"]["properties"] = json!({"b": 2, "a": 1});
        let next_search = read(&next).expect("the next page");
        assert_eq!((next_search.after.as_deref(), next_search.limit), (Some("ana"), 1_000));
        next["action"] = json!({"name": "write"});
        assert!(read(&next).is_err());
        let resources = Search::read(next.to_string().as_bytes(), Sought::Resource);
        assert!(resources.is_err());
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        let with = |member: &str, value: Json| {
            let mut body = body();
            body[member] = value;
            read(&body).err()
        };
        assert_eq!(with("subject", json!(null)).as_deref(), Some("`subject` is missing"));
        assert_eq!(with("subject", json!({})).as_deref(), Some("`subject.type` is missing"));
        assert_eq!(with("page", json!(3)).as_deref(), Some("`page` has to be an object"));
        for page in [json!({"limit": 0}), json!({"limit": "1"}), json!({"token": "x"})] {
            assert!(with("page", page).is_some());
        }
        assert_eq!(with("page", json!({"token": "", "limit": null})), None);
    }
}
