//! A page with a web chat, as the conformance suite wants it: what is kept is what it shows.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use http::HeaderMap;
use misy_channel::account::{Account, Credentials};
use misy_channel::conformance::{Hook, Order, Received, Remote};
use misy_channel::content::{Content, Template};
use misy_channel::event::IdentityClaim;
use misy_channel::front::{Said, VISITOR};
use misy_channel::outbound::{Outbound, Recipient, Sent};
use misy_channel::{Channel, Front};
use misy_core::{Personal, Timestamp};
use serde_json::Map;

const SITE: &str = "site_0123456789abcdef01234567";
const WHO: &str = "0195a2b4c6d87e90a1b2c3d4e5f60718";

pub(crate) fn webchat() -> Arc<dyn Channel> {
    Arc::clone(misy_adapters::registry().find("webchat").expect("it is built in"))
}

#[derive(Default)]
struct Seen {
    hooks: Vec<Hook>,
    shown: Vec<Received>,
}

/// One visitor on one page.
pub(crate) struct Page {
    channel: Arc<dyn Channel>,
    seen: Mutex<Seen>,
}

impl Page {
    pub(crate) fn open() -> Self {
        let page = Self { channel: webchat(), seen: Mutex::default() };
        page.say("hello");
        page
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic inside")
    }

    fn front(&self) -> &dyn Front {
        self.channel.front().expect("it has no provider")
    }

    fn say(&self, text: &str) -> String {
        let (at, content) = (Timestamp::UNIX_EPOCH, Content::text(text));
        let mut seen = self.seen();
        let id = format!("{WHO}:{}", seen.hooks.len());
        let said = Said { account: SITE, visitor: WHO, external_id: &id, at, content: &content };
        seen.hooks.push(Hook { headers: HeaderMap::new(), raw: self.front().write(said) });
        id
    }
}

#[async_trait]
impl Remote for Page {
    fn account(&self) -> Account {
        Account {
            id: "cha_00000000000000000000000001".parse().expect("an id"),
            tenant: "ten_00000000000000000000000001".parse().expect("an id"),
            external_id: SITE.to_owned(),
            credentials: Credentials::default(),
            settings: Map::new(),
        }
    }

    fn account_with_bad_token(&self) -> Option<Account> {
        None
    }

    fn customer(&self) -> Recipient {
        let value = Personal(WHO.to_owned());
        Recipient(vec![IdentityClaim { namespace: VISITOR, value }])
    }

    fn customer_by_user_id(&self) -> Option<Recipient> {
        None
    }

    fn silent_customer(&self) -> Option<Recipient> {
        None
    }

    fn template(&self) -> Option<Template> {
        None
    }

    fn handshake(&self) -> Option<String> {
        None
    }

    async fn customer_writes(&self, text: &str) -> String {
        self.say(text)
    }

    async fn order(&self, _: Order) -> bool {
        false
    }

    async fn keep(&self, message: &Outbound, sent: &Sent) {
        let content = serde_json::to_value(&message.content).expect("plain data");
        self.seen().shown.push(Received {
            external_id: sent.external_id.clone(),
            form: content["type"].as_str().unwrap_or_default().to_owned(),
            raw: content.to_string(),
        });
    }

    async fn received(&self) -> Vec<Received> {
        self.seen().shown.clone()
    }

    async fn hooks(&self, _: &(dyn for<'a> Fn(&'a [Hook]) -> bool + Sync)) -> Vec<Hook> {
        self.seen().hooks.clone()
    }
}
