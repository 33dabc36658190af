//! Room `conversation`: what a policy forbids is refused at every road to a conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::Method;
use misy_core::access::{Fact, Forbidden, Resource};
use misy_core::{Actor, Ctx, Permission, Role};
use misy_web::{Judge, Judging, Policies};
use serde_json::{Value, json};

use crate::house::{House, Shop};

/// Forbids, once told to, what somebody else looks after, to those who manage nobody.
#[derive(Debug, Default)]
pub(crate) struct Whims {
    strict: Arc<AtomicBool>,
}

impl Whims {
    /// From now on.
    pub(crate) fn forbid(&self) {
        self.strict.store(true, Ordering::SeqCst);
    }
}

struct Whim {
    strict: bool,
    actor: Actor,
    permission: Permission,
}

#[async_trait]
impl Policies for Whims {
    async fn judge(&self, ctx: &Ctx, permission: Permission) -> Result<Judge, misy_store::Error> {
        let strict =
            self.strict.load(Ordering::SeqCst) && !ctx.grants().has(Permission::UserManage);
        Ok(Box::new(Whim { strict, actor: ctx.actor(), permission }))
    }
}

impl Judging for Whim {
    fn allows(&self, resource: &Resource) -> bool {
        let others = resource.facts.iter().any(|(name, fact)| match fact {
            Fact::Person(user) => *name == "assignee" && self.actor != Actor::User(*user),
            Fact::Text(_) => false,
        });
        !(self.strict && others)
    }

    fn require(&self, resource: &Resource) -> Result<(), Forbidden> {
        if self.allows(resource) {
            return Ok(());
        }
        let reason = "Forbidden by: a whim.".to_owned();
        Err(Forbidden { permission: self.permission, reason })
    }
}

/// A conversation that the admin looks after; gives its path and that of its message.
async fn assigned(house: &House, shop: &Shop) -> (String, String) {
    house.customer_writes(shop, "ana", "m1", "where is my parcel").await;
    let listed = house.get(shop, "/v1/conversations").await.expect(200);
    let path = format!("/v1/conversations/{}", listed["data"][0]["id"].as_str().expect("an id"));
    let taken = json!({ "assignee_id": house.person(shop).await });
    house.post(shop, &format!("{path}/assign"), taken).await.expect(200);
    let messages = house.get(shop, &format!("{path}/messages")).await.expect(200);
    let message = messages["data"][0]["id"].as_str().expect("an id");
    (path.clone(), format!("/v1/messages/{message}"))
}

#[tokio::test]
async fn a_conversation_that_a_policy_forbids_is_closed_on_every_road() {
    let house = House::new().await;
    let shop = house.shop("acme").await;
    let (path, message) = assigned(&house, &shop).await;
    let contact = house.get(&shop, &path).await.expect(200)["contact_id"].clone();
    let text = json!({ "content": { "type": "text", "text": "soon" } });
    let to = json!({ "contact_id": contact, "content": { "type": "text", "text": "soon" } });
    let roads: [(Method, String, Option<Value>); 8] = [
        (Method::GET, path.clone(), None),
        (Method::GET, format!("{path}/context"), None),
        (Method::GET, format!("{path}/messages"), None),
        (Method::GET, message, None),
        (Method::POST, format!("{path}/messages"), Some(text)),
        (Method::POST, "/v1/messages".to_owned(), Some(to)),
        (Method::PATCH, path.clone(), Some(json!({ "status": "closed" }))),
        (Method::POST, format!("{path}/assign"), Some(json!({ "assignee_id": null }))),
    ];
    let agent = (&shop, Role::Agent);
    for (method, path, body) in roads.iter().take(6).cloned() {
        let answer = house.call(agent, method, &path, &[], body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }
    house.policies.forbid();
    for (method, path, body) in roads {
        let answer = house.call(agent, method, &path, &[], body).await;
        assert_eq!(answer.status.as_u16(), 403, "{path}: {}", answer.text);
        assert_eq!(answer.body["code"], "auth.permission_denied");
        assert_eq!(answer.body["detail"], "Forbidden by: a whim.", "{path}");
    }
    for list in ["/v1/conversations", "/v1/messages/search?q=parcel"] {
        let seen = house.call(agent, Method::GET, list, &[], None).await.expect(200);
        assert_eq!(seen["data"], json!([]), "{list}");
        let all = house.get(&shop, list).await.expect(200);
        assert_eq!(all["data"].as_array().map(Vec::len), Some(1), "{list}, for the admin");
    }
    let absent = "/v1/conversations/cnv_00000000000000000000000009/messages";
    let answer = house.call(agent, Method::GET, absent, &[], None).await;
    assert_eq!(answer.status.as_u16(), 404);
}
