//! Room `server`: a tenant with one of everything that the API can make, each with a word in it
//! that stands nowhere else.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use misy_core::crypto::{hmac_sha256, to_hex};
use misy_core::id::TypedId;
use misy_core::{Ambient, Cursor, DeliveryId, EndpointId, EventId, JobId, TenantId};
use serde_json::{Value, json};

use super::asks::{Answer, Ask};
use super::canaries::Scanner;
use crate::program::{Program, until};

/// The roles of a tenant, from the least to the most.
pub(crate) const ROLES: [&str; 5] = ["viewer", "agent", "supervisor", "admin", "owner"];

/// The program and the sandbox, and who runs them.
pub(crate) struct World {
    pub(crate) api: String,
    pub(crate) admin: String,
    pub(crate) sandbox: String,
    pub(crate) operator: (String, String),
    /// Where webhooks may be sent to.
    pub(crate) receiver: String,
    /// Its database, for what no request can bring about.
    database: tokio_postgres::Config,
    ambient: Ambient,
}

impl World {
    /// Where a program that was started is reached.
    pub(crate) fn of(program: &Program, database: tokio_postgres::Config) -> Self {
        let operator =
            |name: &str| program.ready["operator"][name].as_str().expect("told").to_owned();
        Self {
            api: program.host("api"),
            admin: program.host("admin"),
            sandbox: program.host("sandbox"),
            operator: (operator("email"), operator("password")),
            receiver: super::echo::start(),
            database,
            ambient: misy_testkit::postgres::unpredictable(),
        }
    }

    /// Twenty letters and digits that nobody has used.
    pub(crate) fn word(&self) -> String {
        format!("w{}", &to_hex(&self.ambient.bytes::<10>())[1..])
    }

    /// A job of a tenant that gave up with this error, and that no program runs again.
    pub(crate) async fn failed_job(&self, tenant: &str, error: &str) -> String {
        let tenant: TenantId = tenant.parse().expect("an id");
        let (tenant, id) = (tenant.uuid(), self.ambient.uuid());
        let sql = format!(
            "insert into dead_letters (id, tenant_id, name, payload, envelope, attempts, error,
                died_at)
            values ('{id}', '{tenant}', 'tests.unknown', '{{}}', '{{}}', 12, '{error}', now())"
        );
        misy_testkit::postgres::query(&self.database, &sql).await.expect("written");
        JobId::from_uuid(id).to_string()
    }

    /// A delivery of a tenant that was given up, with its dead letter.
    pub(crate) async fn dead_delivery(&self, of: &BTreeMap<String, String>) -> String {
        let tenant: TenantId = of["TenantId"].parse().expect("an id");
        let endpoint: EndpointId = of["EndpointId"].parse().expect("an id");
        let event: EventId = of["EventId"].parse().expect("an id");
        let (id, tenant) = (self.ambient.uuid(), tenant.uuid());
        let (endpoint, event) = (endpoint.uuid(), event.uuid());
        for sql in [
            format!(
                "insert into webhook_deliveries (tenant_id, id, event_id, endpoint_id, attempts,
                    status, ended_at)
                values ('{tenant}', '{id}', '{event}', '{endpoint}', 9, 'dead', now())"
            ),
            format!(
                "insert into webhook_dead_letters (tenant_id, id, event_id, endpoint_id, type,
                    reason, attempts, died_at)
                values ('{tenant}', '{id}', '{event}', '{endpoint}', 'order.created',
                    'exhausted', 9, now())"
            ),
        ] {
            misy_testkit::postgres::query(&self.database, &sql).await.expect("written");
        }
        DeliveryId::from_uuid(id).to_string()
    }

    fn phone(&self) -> String {
        let number = u32::from_le_bytes(self.ambient.bytes()) % 90_000_000 + 10_000_000;
        format!("+49151{number}")
    }

    /// Signs in.
    pub(crate) async fn sign_in(&self, (email, password): &(String, String)) -> Value {
        let login = json!({ "email": email, "password": password });
        must(&self.api, Ask::new("POST", "/v1/auth/login").with(login)).await.json()
    }

    /// A fresh session of the operator.
    pub(crate) async fn as_operator(&self) -> String {
        token(&self.sign_in(&self.operator).await)
    }

    /// A number at the emulated provider.
    pub(crate) async fn account(&self) -> Value {
        let ask = Ask::new("POST", "/sandbox/accounts").with(json!({}));
        must(&self.sandbox, ask).await.json()
    }
}

/// Puts a question that has to be answered with a success.
pub(crate) async fn must(host: &str, ask: Ask) -> Answer {
    let answer = ask.put(host).await;
    assert!(answer.is_success(), "{} {}: {}", ask.method, ask.path, answer.whole());
    answer
}

pub(crate) fn token(pair: &Value) -> String {
    pair["access_token"].as_str().expect("a token").to_owned()
}

/// A tenant and what it has.
pub(crate) struct Estate {
    pub(crate) bearer: String,
    /// Who signs in as what: address and password.
    pub(crate) people: BTreeMap<String, (String, String)>,
    pub(crate) account: Value,
    /// Ids and other names of its things, by what they are.
    pub(crate) named: BTreeMap<String, String>,
    /// Its canaries by name: those that its own people are shown, and those that nobody is.
    shown: BTreeMap<String, String>,
    hidden: BTreeMap<String, String>,
    canaries: OnceLock<Scanner>,
    ids: OnceLock<Scanner>,
}

impl Estate {
    /// Makes a tenant and one of everything.
    pub(crate) async fn furnish(world: &World) -> Self {
        let mut estate = Self::found(world).await;
        estate.connect(world).await;
        estate.fill(world).await;
        estate.hire(world).await;
        estate.converse(world).await;
        estate.be_visited(world).await;
        estate
    }

    /// A visitor of its pages, and what they were answered.
    async fn be_visited(&mut self, world: &World) {
        let path = |what: &str| format!("/widget/{}/{what}", self.named["site_id"]);
        let ask = Ask::new("POST", path("sessions")).header("origin", &self.named["page"]);
        let session = must(&world.api, ask).await.json();
        let token = session["visitor_token"].as_str().expect("a token").to_owned();
        let (said, heard) = (path("messages"), path("messages"));
        let text = self.canary(world, "what a visitor says");
        let by = |ask: Ask| ask.by(Some(&token)).header("origin", &self.named["page"]);
        let say = Ask::new("POST", said).with(json!({ "id": "1", "text": text }));
        must(&world.api, by(say)).await;
        let mut first = Value::Null;
        until("a visitor's message", 30, async || {
            let page = must(&world.api, by(Ask::new("GET", heard.clone()))).await.json();
            first = page["data"][0]["id"].clone();
            if first.is_string() { Ok(()) } else { Err(page.to_string()) }
        })
        .await;
        let first = first.as_str().expect("an id").to_owned();
        self.secret("a visitor's token", &token);
        let named = [("visitor_token".to_owned(), token), ("visitor_message".to_owned(), first)];
        self.named.extend(named);
    }

    /// Notes a canary that the tenant's own people can see somewhere.
    fn canary(&mut self, world: &World, name: &str) -> String {
        let word = world.word();
        self.shown.insert(name.to_owned(), word.clone());
        word
    }

    fn secret(&mut self, name: &str, text: &str) {
        self.hidden.insert(name.to_owned(), text.to_owned());
    }

    fn name(&mut self, kind: &str, answer: &Value) -> String {
        let id = answer["id"].as_str().expect("an id").to_owned();
        self.named.insert(kind.to_owned(), id.clone());
        id
    }

    async fn found(world: &World) -> Self {
        let mut estate = Self {
            bearer: String::new(),
            people: BTreeMap::new(),
            account: Value::Null,
            named: BTreeMap::new(),
            shown: BTreeMap::new(),
            hidden: BTreeMap::new(),
            canaries: OnceLock::new(),
            ids: OnceLock::new(),
        };
        let slug = estate.canary(world, "slug");
        let password = format!("{}-A-long-one", world.word());
        estate.secret("the owner's password", &password);
        let email = format!("{}@canary.example", estate.canary(world, "the owner's address"));
        let page = format!("https://{}.example", estate.canary(world, "the origin of its pages"));
        let new = json!({
            "slug": slug, "allowed_origins": [&page],
            "name": estate.canary(world, "the tenant's name"),
            "business": { "about": estate.canary(world, "metadata") },
            "owner": { "email": email, "name": estate.canary(world, "the owner's name"),
                "password": password },
        });
        let operator = world.as_operator().await;
        let ask = Ask::new("POST", "/v1/tenants").by(Some(&operator)).with(new);
        let tenant = must(&world.api, ask).await.json();
        let id = estate.name("TenantId", &tenant);
        // Each question makes new things; no plan may end them.
        let limits = json!({ "overrides": { "channels": 1000, "users": 1000 } });
        let ask = Ask::new("PUT", format!("/v1/tenants/{id}/quotas")).by(Some(&operator));
        must(&world.api, ask.with(limits)).await;
        estate.named.insert("slug".to_owned(), slug);
        let site = tenant["site_id"].as_str().expect("an id").to_owned();
        estate.named.extend([("site_id".to_owned(), site), ("page".to_owned(), page)]);
        estate.people.insert("owner".to_owned(), (email, password));
        let pair = world.sign_in(&estate.people["owner"]).await;
        estate.bearer = token(&pair);
        let session = pair["session_id"].as_str().expect("an id").to_owned();
        estate.named.insert("SessionId".to_owned(), session);
        estate
    }

    /// Asks as the owner; it must be granted.
    pub(crate) async fn own(&self, world: &World, method: &str, path: &str, body: Value) -> Value {
        let ask = Ask::new(method, path).by(Some(&self.bearer)).with(body);
        must(&world.api, ask).await.json()
    }

    /// Says something to the sandbox about the tenant's number.
    pub(crate) async fn at_provider(
        &self,
        world: &World,
        method: &str,
        what: &str,
        body: Value,
    ) -> Answer {
        let number = self.account["phone_number_id"].as_str().expect("an id");
        let path = format!("/sandbox/accounts/{number}/{what}");
        must(&world.sandbox, Ask::new(method, path).with(body)).await
    }

    async fn connect(&mut self, world: &World) {
        self.account = world.account().await;
        for name in ["access_token", "app_secret", "verify_token"] {
            let text = self.account[name].as_str().expect("a text").to_owned();
            self.secret(name, &text);
        }
        let number = self.account["phone_number_id"].as_str().expect("an id").to_owned();
        self.shown.insert("the number's id".to_owned(), number);
        let name = self.canary(world, "the channel's name");
        let new = channel(&self.account, &name, &world.sandbox);
        let made = self.own(world, "POST", "/v1/channels", new).await;
        let id = self.name("ChannelId", &made);
        self.named.insert("hook".to_owned(), id);
        let hook = json!({ "url": made["webhook_url"] });
        self.at_provider(world, "PUT", "webhook", hook).await;
    }

    async fn fill(&mut self, world: &World) {
        let (question, answer) =
            (self.canary(world, "a question"), self.canary(world, "an answer"));
        let tag = self.canary(world, "a tag");
        let entry = json!({
            "question": format!("What are your opening hours, {question}?"), "language": "en",
            "answer": format!("From 9 to 18, {answer}."), "tags": [tag],
        });
        let made = self.own(world, "POST", "/v1/knowledge-entries", entry).await;
        self.name("KnowledgeEntryId", &made);
        self.named.extend([("tag".to_owned(), tag), ("q".to_owned(), question)]);
        let (title, text) =
            (self.canary(world, "a document's title"), self.canary(world, "a document's text"));
        let tag = self.canary(world, "a document's tag");
        let document = json!({ "title": title, "language": "en", "tags": [tag],
            "text": format!("# Returns {text}\n\nWithin 30 days you may return it, {text}.") });
        let made = self.own(world, "POST", "/v1/knowledge-documents", document).await;
        self.name("KnowledgeDocumentId", &made);
        let error = world.word();
        self.secret("a failed job's error", &error);
        let job = world.failed_job(&self.named["TenantId"], &error).await;
        self.named.insert("JobId".to_owned(), job);
        let name = self.canary(world, "an API key's name");
        let key = json!({ "name": name, "role": "agent" });
        let made = self.own(world, "POST", "/v1/api-keys", key).await;
        self.name("ApiKeyId", &made);
        let secret = made["secret"].as_str().expect("shown once").to_owned();
        self.named.insert("key".to_owned(), secret.clone());
        let name = self.canary(world, "a group of the directory");
        let group = json!({ "displayName": name });
        let made = self.own(world, "POST", "/scim/v2/Groups", group).await;
        self.name("ScimGroupId", &made);
        let words =
            [("resource_type", "User"), ("schema", "urn:ietf:params:scim:schemas:core:2.0:User")];
        self.named.extend(words.map(|(name, text)| (name.to_owned(), text.to_owned())));
        self.secret("an API key", &secret);
        self.govern(world).await;
        self.reach_out(world).await;
    }

    /// Single sign-on, a guest, a visit of the operator, webhooks.
    async fn reach_out(&mut self, world: &World) {
        let name = self.canary(world, "a connection's name");
        let made = self.own(world, "POST", "/v1/sso-connections", saml(&name)).await;
        self.name("SsoConnectionId", &made);
        let name = format!("{}.example", self.canary(world, "a domain's name"));
        let made = self.own(world, "POST", "/v1/domains", json!({ "name": name })).await;
        self.name("DomainId", &made);
        let name = self.canary(world, "a guest's name");
        let email = format!("{}@people.example", world.word());
        let guest = json!({ "email": email, "name": name, "role": "viewer" });
        let made = self.own(world, "POST", "/v1/invitations", guest).await;
        self.name("InvitationId", &made);
        let reason = self.canary(world, "why the operator came");
        let visit = self.visit(world, &reason).await;
        self.named.insert("ImpersonationId".to_owned(), visit);
        let about = self.canary(world, "what an endpoint is for");
        let made = self.own(world, "POST", "/v1/webhook-endpoints", endpoint(world, &about)).await;
        self.name("EndpointId", &made);
        let secret = made["secret"].as_str().expect("shown once").to_owned();
        self.secret("an endpoint's secret", &secret);
        self.listen(world).await;
        let word = self.canary(world, "what an event says");
        let event = json!({ "type": "order.created", "data": { "note": word } });
        let made = self.own(world, "POST", "/v1/events", event).await;
        let id = made["data"][0]["id"].as_str().expect("an id").to_owned();
        self.named.insert("EventId".to_owned(), id);
        let delivery = world.dead_delivery(&self.named).await;
        self.named.insert("DeliveryId".to_owned(), delivery);
        let made = self.own(world, "POST", "/v1/dead-letters/replay", json!({})).await;
        self.name("OperationId", &made);
    }

    /// A source, and something that was received from it.
    async fn listen(&mut self, world: &World) {
        let token = format!("token-{}", world.word());
        let name = self.canary(world, "a source's name");
        let made = self.own(world, "POST", "/v1/sources", source(&name, &token)).await;
        self.name("SourceId", &made);
        self.secret("a source's token", &token);
        self.named.insert("source_token".to_owned(), token.clone());
        let path = format!("/hooks/sources/{}", self.named["SourceId"]);
        let note = self.canary(world, "what another service says");
        let sent = Ask::new("POST", path).header("x-token", token);
        must(&world.api, sent.with(json!({ "id": "7", "note": note }))).await;
        let page = self.own(world, "GET", "/v1/source-receipts", Value::Null).await;
        let id = page["data"][0]["id"].as_str().expect("an id").to_owned();
        self.named.insert("ReceiptId".to_owned(), id);
    }

    /// Has the operator come in; gives the visit's id.
    pub(crate) async fn visit(&self, world: &World, reason: &str) -> String {
        let visit = visit(&world.as_operator().await, &self.named["slug"], reason);
        must(&world.api, Ask::new("POST", "/v1/auth/token").with(visit)).await;
        let page = self.own(world, "GET", "/v1/impersonations", Value::Null).await;
        page["data"][0]["id"].as_str().expect("the latest first").to_owned()
    }

    /// A role, a service account and a policy of the tenant's own. Nobody of the platform belongs
    /// to a tenant, so there is none to name.
    async fn govern(&mut self, world: &World) {
        let name = self.canary(world, "a role's name");
        let role = json!({ "slug": "lead", "name": name, "inherits": "agent" });
        let made = self.own(world, "POST", "/v1/roles", role).await;
        self.name("RoleId", &made);
        let name = self.canary(world, "a service account's name");
        let account = json!({ "name": name, "role": "viewer" });
        let made = self.own(world, "POST", "/v1/service-accounts", account).await;
        self.name("ServiceAccountId", &made);
        let name = self.canary(world, "a policy's name");
        let values = json!({ "role": "lead" });
        let policy = json!({ "name": name, "template": "read_only", "values": values });
        let made = self.own(world, "POST", "/v1/policies", policy).await;
        self.name("PolicyId", &made);
        let nobody = "opr_01k8zq5m3ge0r8v0w1x2y7z6q5".to_owned();
        self.named.insert("OperatorId".to_owned(), nobody);
        // Sign-ups and workflows are the platform's.
        let signup = "sgn_01k8zq5m3ge0r8v0w1x2y7z6q5".to_owned();
        self.named.insert("SignupId".to_owned(), signup);
        let workflow = "owf_01k8zq5m3ge0r8v0w1x2y7z6q5".to_owned();
        self.named.insert("OnboardingWorkflowId".to_owned(), workflow);
        // Plans are the platform's; a tenant has none.
        self.named.insert("plan".to_owned(), "nobodys-plan-1".to_owned());
    }

    /// People of every role. The agent's address is one that others may come to know.
    async fn hire(&mut self, world: &World) {
        for role in &ROLES[..4] {
            let name = self.canary(world, &format!("the {role}'s name"));
            let email = format!("{}@people.example", world.word());
            let password = format!("{}-A-long-one", world.word());
            self.secret(&format!("the {role}'s password"), &password);
            let new = json!({ "email": email, "name": name, "role": role, "password": password });
            let made = self.own(world, "POST", "/v1/users", new).await;
            if *role == "agent" {
                self.name("UserId", &made);
                self.named.insert("email".to_owned(), email.clone());
            }
            self.people.insert((*role).to_owned(), (email, password));
        }
    }

    /// One more person, about whom nothing is a canary.
    pub(crate) async fn person(&self, world: &World, role: &str) -> (String, String) {
        let email = format!("{}@people.example", world.word());
        let password = format!("{}-A-long-one", world.word());
        let new = json!({ "email": email, "name": "x", "role": role, "password": password });
        self.own(world, "POST", "/v1/users", new).await;
        (email, password)
    }

    async fn converse(&mut self, world: &World) {
        let phone = world.phone();
        self.shown.insert("the customer's phone".to_owned(), phone[1..].to_owned());
        let (name, text) =
            (self.canary(world, "the customer's name"), self.canary(world, "what they wrote"));
        let said = json!({ "from": phone, "name": name,
            "text": format!("what are your opening hours? {text}") });
        self.at_provider(world, "POST", "messages", said).await;
        let first = async |path: &str| {
            let page = self.own(world, "GET", path, Value::Null).await;
            page["data"][0].clone()
        };
        let mut conversation = Value::Null;
        until("a conversation", 30, async || {
            conversation = first("/v1/conversations").await;
            conversation["id"].as_str().map(drop).ok_or_else(|| "none yet".to_owned())
        })
        .await;
        let contact = first("/v1/contacts").await;
        let id = self.name("ConversationId", &conversation);
        self.name("ContactId", &contact);
        let reply = self.canary(world, "what we wrote");
        let reply = json!({ "content": { "type": "text", "text": reply } });
        let path = format!("/v1/conversations/{id}/messages");
        let made = self.own(world, "POST", &path, reply).await;
        let message = self.name("MessageId", &made);
        let path = format!("/v1/messages/{message}");
        until("a message read", 30, async || {
            let now = self.own(world, "GET", &path, Value::Null).await;
            if now["status"] == "read" { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        self.give_other_names(phone);
    }

    /// The names under which query parameters and bodies know its things.
    fn give_other_names(&mut self, phone: String) {
        let of = |kind: &str| self.named[kind].clone();
        let position = of("MessageId").rsplit('_').next().expect("after the prefix").to_owned();
        assert!(Cursor::decode(&position).is_some(), "a cursor is an id without its kind");
        let others = [
            ("identity", format!("phone:{phone}")),
            ("cursor", position),
            ("contact_id", of("ContactId")),
            ("channel_id", of("ChannelId")),
            ("assignee_id", of("UserId")),
            ("resource_id", of("ChannelId")),
            ("endpoint_id", of("EndpointId")),
            ("event_id", of("EventId")),
            ("source_id", of("SourceId")),
            ("principal", of("UserId")),
            ("actor", of("UserId")),
            ("phone", phone),
        ];
        self.named.extend(others.map(|(name, text)| (name.to_owned(), text)));
    }

    /// What nobody but its own people may ever be shown, with what even they are not.
    pub(crate) fn canaries(&self) -> &Scanner {
        self.canaries.get_or_init(|| {
            let all = self.shown.iter().chain(&self.hidden);
            Scanner::of(all.map(|(name, text)| (name.as_str(), text.as_str())))
        })
    }

    /// What its own people are shown.
    pub(crate) fn shown(&self) -> Scanner {
        Scanner::of(self.shown.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Its ids, which operators may read in a log and other tenants nowhere.
    pub(crate) fn ids(&self) -> &Scanner {
        self.ids.get_or_init(|| {
            let ids = self.named.iter().filter(|(kind, _)| kind.ends_with("Id"));
            Scanner::of(ids.map(|(name, text)| (name.as_str(), &text["ten_".len()..])))
        })
    }

    /// Something of the same form as one of its names, that nobody has.
    pub(crate) fn absent(&self, kind: &str) -> String {
        let real = self.named.get(kind);
        let real = real.unwrap_or_else(|| panic!("say in the estate what a `{kind}` is"));
        let last = real.chars().last().expect("not empty");
        let other = if last == '0' { '1' } else { '0' };
        match real.split_once('@') {
            Some((name, host)) => format!("{name}0@{host}"),
            None => format!("{}{other}", &real[..real.len() - 1]),
        }
    }

    /// The tag by which the provider signs.
    pub(crate) fn signature(&self, body: &Value) -> String {
        let secret = self.account["app_secret"].as_str().expect("a secret");
        let body = serde_json::to_vec(body).expect("JSON");
        format!("sha256={}", to_hex(&hmac_sha256(secret.as_bytes(), &body)))
    }
}

/// The exchange of an operator's token for one of a tenant.
pub(crate) fn visit(operator: &str, slug: &str, reason: &str) -> Value {
    json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": operator,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": slug, "reason": reason,
    })
}

/// An endpoint of webhooks.
pub(crate) fn endpoint(world: &World, about: &str) -> Value {
    json!({ "url": world.receiver, "description": about, "event_types": ["order.created"] })
}

/// A source whose senders know a token.
pub(crate) fn source(name: &str, token: &str) -> Value {
    let scheme = json!({ "algorithm": "token", "signature": { "header": "x-token" },
        "challenge": "meta", "repetition": "never" });
    json!({ "name": name, "settings": { "scheme": scheme }, "secret": token,
        "verify_token": token })
}

/// A connection to an identity provider that is nowhere.
pub(crate) fn saml(name: &str) -> Value {
    let certificate = include_str!("provider.pem");
    json!({
        "kind": "saml", "name": name, "attributes": {},
        "settings": { "entity_id": "https://idp.example", "sso_url": "https://idp.example/sso",
            "certificates": [certificate] },
    })
}

/// A channel of this account at the provider.
pub(crate) fn channel(account: &Value, name: &str, sandbox: &str) -> Value {
    json!({
        "kind": "whatsapp", "name": name, "external_id": account["phone_number_id"],
        "credentials": {
            "access_token": account["access_token"], "app_secret": account["app_secret"],
            "verify_token": account["verify_token"],
        },
        "settings": { "api_host": format!("http://{sandbox}") },
    })
}
