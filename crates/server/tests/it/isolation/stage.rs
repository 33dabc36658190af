//! Room `server`: who asks in the matrix, and how a question is made right in everything but the
//! one name that it is about.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::asks::{Answer, Ask};
use super::estate::{Estate, ROLES, World, channel, endpoint, must, saml, source, token, visit};
use super::operations::{Operation, Slot};
use crate::program::Program;

/// The one operation that does nothing without a parameter of its query.
const SEARCH: &str = "/v1/messages/search";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    Person(&'static str),
    Key,
    Operator,
}

pub(crate) const CALLERS: [Caller; 8] = [
    Caller::Nobody,
    Caller::Person(ROLES[0]),
    Caller::Person(ROLES[1]),
    Caller::Person(ROLES[2]),
    Caller::Person(ROLES[3]),
    Caller::Person(ROLES[4]),
    Caller::Key,
    Caller::Operator,
];

/// Operations that end the session or use the secret they are asked with: each time another one.
pub(crate) fn ends_session(operation: &Operation) -> bool {
    let path = operation.path.as_str();
    matches!(
        path,
        "/v1/auth/logout" | "/v1/auth/sso/logout" | "/v1/auth/password" | "/v1/auth/refresh"
    ) || (path == "/v1/auth/sessions" && operation.method == "DELETE")
}

/// The asking tenant, the other one, and what was seen so far.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) mine: Estate,
    pub(crate) theirs: Estate,
    bearers: BTreeMap<String, String>,
    /// People whose sessions and passwords may come to an end.
    spare: BTreeMap<String, (String, String)>,
    operator: String,
    /// Everything that the other tenant's own people were answered.
    pub(crate) seen_by_them: Vec<u8>,
}

impl Stage {
    pub(crate) async fn set_up(program: &Program, database: tokio_postgres::Config) -> Self {
        let world = World::of(program, database);
        let mine = Estate::furnish(&world).await;
        let theirs = Estate::furnish(&world).await;
        let mut bearers = BTreeMap::new();
        for (role, person) in &mine.people {
            bearers.insert(role.clone(), token(&world.sign_in(person).await));
        }
        let mut spare = BTreeMap::new();
        for role in ROLES {
            spare.insert(role.to_owned(), mine.person(&world, role).await);
        }
        let operator = world.as_operator().await;
        Self { world, mine, theirs, bearers, spare, operator, seen_by_them: Vec::new() }
    }

    /// The caller's credential; a fresh session where the question ends it.
    async fn bearer(&self, caller: Caller, fresh: bool) -> Option<String> {
        match caller {
            Caller::Nobody => None,
            Caller::Key => Some(self.mine.named["key"].clone()),
            Caller::Operator if fresh => Some(self.world.as_operator().await),
            Caller::Operator => Some(self.operator.clone()),
            Caller::Person(role) if fresh => {
                Some(token(&self.world.sign_in(&self.spare[role]).await))
            }
            Caller::Person(role) => Some(self.bearers[role].clone()),
        }
    }

    /// Signs the operator in again, after a question that ended all sessions.
    pub(crate) async fn renew(&mut self) {
        self.operator = self.world.as_operator().await;
    }

    /// One of the asking tenant's own; a new one where the question takes it away.
    async fn own(&self, operation: &Operation, kind: &str, caller: Caller) -> String {
        let made = |answer: Value| answer["id"].as_str().expect("an id").to_owned();
        let post = async |path: &str, body: Value| {
            made(self.mine.own(&self.world, "POST", path, body).await)
        };
        match kind {
            "SessionId" => self.session(caller).await,
            // A domain is of the tenant that the path names.
            "TenantId" if operation.path.ends_with("/domains/{id}") => {
                self.mine.named[kind].clone()
            }
            "TenantId" if caller == Caller::Operator => self.tenant(operation).await,
            "OperatorId" if caller == Caller::Operator => {
                let mut new = self.newcomer();
                new["role"] = json!("support");
                let ask = Ask::new("POST", "/v1/operators").by(Some(&self.operator));
                made(must(&self.world.api, ask.with(new)).await.json())
            }
            "OnboardingWorkflowId" if caller == Caller::Operator => {
                let new = json!({ "slug": self.world.word(), "title": "x", "steps": steps() });
                let ask = Ask::new("POST", "/v1/onboarding-workflows").by(Some(&self.operator));
                made(must(&self.world.api, ask.with(new)).await.json())
            }
            "plan" if caller == Caller::Operator => {
                let new = json!({ "id": self.world.word(), "name": "x", "limits": {} });
                let ask = Ask::new("POST", "/v1/plans").by(Some(&self.operator));
                made(must(&self.world.api, ask.with(new)).await.json())
            }
            // A dead letter that was sent again is one no longer.
            "DeliveryId" if operation.path.starts_with("/v1/dead-letters/") => {
                self.world.dead_delivery(&self.mine.named).await
            }
            "EndpointId" if operation.method != "DELETE" => self.mine.named[kind].clone(),
            "EndpointId" => post("/v1/webhook-endpoints", endpoint(&self.world, "x")).await,
            "SourceId" if operation.method == "DELETE" => {
                post("/v1/sources", source("x", "x")).await
            }
            "UserId" if operation.path.starts_with("/scim/") => {
                let email = format!("{}@people.example", self.world.word());
                post("/scim/v2/Users", json!({ "userName": email })).await
            }
            _ if !operation.uses_up() => self.mine.named[kind].clone(),
            "ApiKeyId" => post("/v1/api-keys", json!({ "name": "x", "role": "viewer" })).await,
            "UserId" => post("/v1/users", self.newcomer()).await,
            "RoleId" => {
                let slug = format!("r{}", self.world.word());
                post("/v1/roles", json!({ "slug": slug, "name": "x" })).await
            }
            "ServiceAccountId" => {
                let account = json!({ "name": self.world.word(), "role": "viewer" });
                post("/v1/service-accounts", account).await
            }
            "PolicyId" => post("/v1/policies", self.policy()).await,
            "SsoConnectionId" => post("/v1/sso-connections", saml(&self.world.word())).await,
            "DomainId" => post("/v1/domains", self.domain()).await,
            "InvitationId" => post("/v1/invitations", self.guest()).await,
            "ImpersonationId" => self.mine.visit(&self.world, "to look about").await,
            "DeliveryId" => self.world.dead_delivery(&self.mine.named).await,
            "ChannelId" => {
                let account = self.world.account().await;
                post("/v1/channels", channel(&account, "x", &self.world.sandbox)).await
            }
            "KnowledgeEntryId" => post("/v1/knowledge-entries", entry()).await,
            "KnowledgeDocumentId" => post("/v1/knowledge-documents", document()).await,
            "JobId" => self.world.failed_job(&self.mine.named["TenantId"], "x").await,
            "ScimGroupId" => {
                post("/scim/v2/Groups", json!({ "displayName": self.world.word() })).await
            }
            _ => self.mine.named[kind].clone(),
        }
    }

    /// A policy about nobody.
    fn policy(&self) -> Value {
        let values = json!({ "role": "nobody" });
        json!({ "name": self.world.word(), "template": "read_only", "values": values })
    }

    fn domain(&self) -> Value {
        json!({ "name": format!("{}.example", self.world.word()) })
    }

    /// A person to be asked in.
    fn guest(&self) -> Value {
        let email = format!("{}@people.example", self.world.word());
        json!({ "email": email, "name": "x", "role": "viewer" })
    }

    /// A person to be added.
    fn newcomer(&self) -> Value {
        let email = format!("{}@people.example", self.world.word());
        let password = format!("{}-A-long-one", self.world.word());
        json!({ "email": email, "name": "x", "role": "viewer", "password": password })
    }

    async fn session(&self, caller: Caller) -> String {
        let person = match caller {
            Caller::Person(role) => &self.mine.people[role],
            Caller::Operator => &self.world.operator,
            Caller::Nobody | Caller::Key => return self.mine.named["SessionId"].clone(),
        };
        let pair = self.world.sign_in(person).await;
        pair["session_id"].as_str().expect("an id").to_owned()
    }

    /// A tenant that the operator may do anything with.
    async fn tenant(&self, operation: &Operation) -> String {
        let owner = json!({ "email": format!("{}@x.example", self.world.word()), "name": "x" });
        let new = json!({ "slug": self.world.word(), "name": "x", "owner": owner });
        let ask = Ask::new("POST", "/v1/tenants").by(Some(&self.operator)).with(new);
        let made = must(&self.world.api, ask).await.json();
        let id = made["id"].as_str().expect("an id").to_owned();
        if operation.path.ends_with("/restore") || operation.method == "DELETE" {
            let ask = Ask::new("POST", format!("/v1/tenants/{id}/close"));
            must(&self.world.api, ask.by(Some(&self.operator)).with(json!({}))).await;
        }
        if operation.path.ends_with("/activate") {
            let path = format!("/v1/tenants/{id}/suspend");
            let ask = Ask::new("POST", path).by(Some(&self.operator));
            must(&self.world.api, ask.with(json!({ "reason": "billing" }))).await;
        }
        id
    }

    /// A right body, so that it is the names in it that decide and not its form.
    pub(crate) async fn body(&self, operation: &Operation, caller: Caller) -> Value {
        let hello = json!({ "type": "text", "text": "hello" });
        let person = |role| &self.spare[role];
        let role = if let Caller::Person(role) = caller { role } else { "owner" };
        match (operation.method.as_str(), operation.path.as_str()) {
            ("POST", "/v1/api-keys") => json!({ "name": "x", "role": "viewer" }),
            ("POST", "/v1/auth/login") => {
                json!({ "email": person(role).0, "password": person(role).1 })
            }
            ("POST", "/v1/auth/refresh") => {
                let pair = self.world.sign_in(person(role)).await;
                json!({ "refresh_token": pair["refresh_token"] })
            }
            ("POST", "/v1/auth/revoke") => {
                let pair = self.world.sign_in(person(role)).await;
                format!("token={}", pair["refresh_token"].as_str().expect("a token")).into()
            }
            ("POST", "/v1/auth/password") => {
                let secret =
                    if caller == Caller::Operator { &self.world.operator } else { person(role) };
                json!({ "current_password": secret.1, "new_password": secret.1 })
            }
            ("POST", "/v1/channels") => {
                channel(&self.world.account().await, "x", &self.world.sandbox)
            }
            ("POST", "/v1/conversations/{conversation}/assign") => json!({ "assignee_id": null }),
            ("POST", "/v1/conversations/{conversation}/messages") => json!({ "content": hello }),
            ("POST", "/v1/knowledge-entries") => entry(),
            ("POST", "/v1/knowledge-documents") => document(),
            ("POST", "/v1/messages") => {
                json!({ "contact_id": self.mine.named["ContactId"], "content": hello })
            }
            ("POST", "/v1/tenants") => {
                let owner =
                    json!({ "email": format!("{}@x.example", self.world.word()), "name": "x" });
                json!({ "slug": self.world.word(), "name": "x", "owner": owner })
            }
            ("POST", "/v1/tenants/{tenant}/suspend") => json!({ "reason": "billing" }),
            ("POST", "/v1/signups/{signup}/reject") => json!({ "reason": "x" }),
            ("POST", "/v1/onboarding-workflows") => {
                json!({ "slug": self.world.word(), "title": "x", "steps": steps() })
            }
            ("PUT", "/v1/onboarding-workflows/{workflow}") => {
                json!({ "title": "x", "steps": steps() })
            }
            ("PUT", "/v1/onboarding") => {
                let data = json!({ "legal_name": "x", "country": "DE" });
                json!({ "step": "business_profile", "data": data })
            }
            ("POST", path) if path.starts_with("/v1/onboarding/") => json!({ "step": "team" }),
            ("POST", "/v1/plans") => {
                json!({ "id": self.world.word(), "name": "x", "limits": { "users": 5 } })
            }
            ("POST", "/v1/tenants/{tenant}/plan-changes") => json!({ "plan": "unlimited" }),
            ("PUT", "/v1/tenants/{tenant}/quotas") => json!({ "overrides": { "users": 9 } }),
            ("POST", "/v1/auth/mfa/totp") => {
                let secret = match caller {
                    Caller::Person(role) => &self.mine.people[role].1,
                    _ => &self.world.operator.1,
                };
                json!({ "current_password": secret })
            }
            ("POST", "/v1/auth/discover" | "/v1/auth/recovery") => {
                json!({ "email": person(role).0 })
            }
            ("POST", "/v1/auth/token") => {
                visit(&self.operator, &self.mine.named["slug"], "to look about")
            }
            ("POST", "/v1/domains") => self.domain(),
            ("POST", "/v1/sso-connections") => saml(&self.world.word()),
            ("POST", "/v1/sso-connections/read-saml-metadata") => json!({ "xml": metadata() }),
            ("POST", "/v1/webhook-endpoints") => endpoint(&self.world, "x"),
            ("POST", "/v1/sources") => source("x", "x"),
            ("POST", "/v1/sources/{source}/secret/rotate") => {
                json!({ "secret": self.mine.named["source_token"] })
            }
            ("POST", "/v1/webhook-endpoints/{endpoint}/replay") => {
                json!({ "since": "2026-01-01T00:00:00Z" })
            }
            ("POST", "/v1/events" | "/v1/events/simulate") => {
                json!({ "type": "order.created", "data": {} })
            }
            ("POST", "/v1/webhook-signatures") => {
                json!({ "secret": SIGNING_SECRET, "id": "x", "timestamp": 1, "body": "{}" })
            }
            ("POST", "/v1/webhook-signatures/verify") => json!({
                "secret": SIGNING_SECRET, "id": "x", "timestamp": "1", "signature": "v1,x",
                "body": "{}",
            }),
            ("POST", "/hooks/{hook}") => delivery(&self.mine.account),
            ("POST", "/widget/{site_id}/messages") => {
                json!({ "id": self.world.word(), "text": "hello" })
            }
            ("POST", "/widget/{site_id}/read") => {
                json!({ "message_id": self.mine.named["visitor_message"] })
            }
            _ => self.access_body(operation),
        }
    }

    /// The bodies of who may do what: people, roles, policies, directories.
    fn access_body(&self, operation: &Operation) -> Value {
        match (operation.method.as_str(), operation.path.as_str()) {
            ("POST", "/v1/users") => self.newcomer(),
            ("POST", "/v1/invitations") => self.guest(),
            ("PUT", "/v1/auth/mfa/policy") => json!({ "roles": [] }),
            ("PUT", "/v1/scim/role-mappings") => json!({ "mappings": [] }),
            ("POST", "/v1/roles") => {
                json!({ "slug": format!("r{}", self.world.word()), "name": "x" })
            }
            ("POST", "/v1/service-accounts") => {
                json!({ "name": self.world.word(), "role": "viewer" })
            }
            ("POST", "/v1/operators") => {
                let mut new = self.newcomer();
                new["role"] = json!("support");
                new
            }
            ("POST", "/v1/policies") => self.policy(),
            ("POST", "/v1/policies/validate") => json!({ "text": "forbid" }),
            ("PUT", "/v1/policies/schema") => json!({ "text": "namespace App {}" }),
            ("PUT", "/v1/policies/entities") => json!({ "entities": [] }),
            ("POST", "/v1/policies/explain" | "/v1/policies/who-can") => {
                json!({ "action": "user.read", "resource": { "type": "tenant" } })
            }
            ("POST", path) if path.starts_with("/access/v1/") => json!({
                "subject": { "type": "user", "id": "x" }, "action": { "name": "read" },
                "resource": { "type": "record", "id": "1" }
            }),
            ("POST", "/scim/v2/Groups") | ("PUT", "/scim/v2/Groups/{id}") => {
                json!({ "displayName": self.world.word() })
            }
            ("POST", "/scim/v2/Users") | ("PUT", "/scim/v2/Users/{id}") => {
                json!({ "userName": format!("{}@people.example", self.world.word()) })
            }
            ("POST", path) if path.ends_with("/.search") => {
                json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] })
            }
            ("PATCH", path) if path.starts_with("/scim/") => json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": "replace", "path": "displayName",
                    "value": self.world.word() }],
            }),
            _ if operation.has_body => json!({}),
            _ => Value::Null,
        }
    }

    /// The question with everything in it the caller's own, but for one slot.
    pub(crate) async fn ask(
        &self,
        operation: &Operation,
        caller: Caller,
        other: Option<(&Slot, &str)>,
    ) -> Answer {
        let mut path = operation.path.clone();
        for (name, kind) in operation.path_slots() {
            let value = match other {
                Some((Slot::Path { name: asked, .. }, value)) if asked == name => value.to_owned(),
                _ => self.own(operation, kind, caller).await,
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        if operation.path.ends_with("/start") {
            let _ = write!(path, "?code_challenge={}", "A".repeat(43));
        }
        if operation.method == "DELETE" && operation.path == "/v1/tenants/{tenant}" {
            let ask = Ask::new("GET", path.clone()).by(Some(&self.operator));
            let slug = ask.put(&self.world.api).await.json()["slug"].clone();
            let _ = write!(path, "?confirm={}", slug.as_str().unwrap_or("x"));
        }
        if operation.method == "DELETE" && operation.path == "/v1/tenants/{tenant}/domains/{id}" {
            path.push_str("?reason=The%20company%20was%20sold");
        }
        let bearer = self.bearer(caller, ends_session(operation)).await;
        let body = self.body(operation, caller).await;
        let mut ask = Ask::new(&operation.method, path).by(bearer.as_deref()).with(body);
        let names_words = matches!(other, Some((Slot::Query { name }, _)) if name == "q");
        if operation.path == SEARCH && !names_words {
            ask = ask.query("q", "hours");
        }
        if operation.path == "/v1/tenant-provisioning" {
            ask = ask.query("plan", "standard");
        }
        if let Some((slot, value)) = other {
            ask = placed(ask, slot, value);
        }
        if operation.path == "/hooks/{hook}" {
            ask = self.as_provider(ask);
        }
        if operation.path == "/hooks/sources/{source}" {
            ask = knocking(ask, &self.mine.named["source_token"]);
        }
        if operation.path.starts_with("/widget/") {
            let page = self.mine.named["page"].clone();
            ask = ask.by(Some(&self.mine.named["visitor_token"])).header("origin", page);
        }
        ask.put(&self.world.api).await
    }

    /// What a provider adds: the token of the handshake, or the signature.
    fn as_provider(&self, ask: Ask) -> Ask {
        if ask.body.is_null() {
            let token = self.mine.account["verify_token"].as_str().expect("a token");
            let ask = ask.query("hub.mode", "subscribe").query("hub.challenge", "7");
            return ask.query("hub.verify_token", token);
        }
        let signature = self.mine.signature(&ask.body);
        ask.header("x-hub-signature-256", signature)
    }

    /// The other tenant asks about its own first, so that whatever is kept of it is at hand.
    pub(crate) async fn warm_up(&mut self, operation: &Operation) {
        let verifies = operation.path.ends_with("/verify");
        if operation.method != "GET" && !verifies {
            return;
        }
        let mut path = operation.path.clone();
        for (name, kind) in operation.path_slots() {
            path = path.replace(&format!("{{{name}}}"), &self.theirs.named[kind]);
        }
        let mut ask = Ask::new(&operation.method, path).by(Some(&self.theirs.bearer));
        if operation.path == SEARCH {
            ask = ask.query("q", "hours");
        }
        if operation.path == "/hooks/{hook}" {
            let token = self.theirs.account["verify_token"].as_str().expect("a token");
            ask = ask.query("hub.mode", "subscribe").query("hub.challenge", "7");
            ask = ask.query("hub.verify_token", token);
        }
        if operation.path == "/hooks/sources/{source}" {
            ask = knocking(ask, &self.theirs.named["source_token"]);
        }
        let answer = ask.put(&self.world.api).await;
        self.seen_by_them.extend(answer.whole().into_bytes());
    }
}

/// What another service adds: its token, or the handshake with it.
fn knocking(ask: Ask, token: &str) -> Ask {
    if ask.method != http::Method::GET {
        return ask.header("x-token", token);
    }
    let ask = ask.query("hub.mode", "subscribe").query("hub.challenge", "7");
    ask.query("hub.verify_token", token)
}

/// A secret of webhooks that nobody has.
const SIGNING_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What an identity provider says of itself.
fn metadata() -> String {
    let pem = include_str!("provider.pem");
    let certificate: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    format!(
        "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\"
            entityID=\"https://idp.example\"><IDPSSODescriptor
            protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><KeyDescriptor
            use=\"signing\"><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><X509Data>
            <X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
            <SingleSignOnService Location=\"https://idp.example/sso\"
            Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\"/>
            </IDPSSODescriptor></EntityDescriptor>"
    )
}

fn document() -> Value {
    json!({ "title": "Guide", "text": "Within 30 days.", "language": "en" })
}

fn entry() -> Value {
    json!({ "question": "Where are you?", "answer": "Here.", "language": "en" })
}

/// A payload of the provider that names this account and says nothing new.
fn delivery(account: &Value) -> Value {
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": account["waba_id"],
        "changes": [{ "field": "messages", "value": { "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "1",
                "phone_number_id": account["phone_number_id"] } } }] }] })
}

/// The question with another value in one slot.
fn placed(mut ask: Ask, slot: &Slot, value: &str) -> Ask {
    match slot {
        Slot::Path { .. } => ask,
        Slot::Query { name } => ask.query(name, value),
        Slot::Smuggled { into: "header" } => {
            let ask = ask.header("x-tenant-id", value).header("x-tenant", value);
            ask.header("x-misy-tenant", value).header("baggage", format!("tenant={value}"))
        }
        Slot::Smuggled { into: "query" } => ask.query("tenant_id", value),
        Slot::Smuggled { .. } => {
            ask.body["tenant_id"] = value.into();
            ask
        }
        Slot::Body { pointer, .. } if pointer == "/identity/value" => {
            ask.body["identity"] = json!({ "namespace": "phone", "value": value });
            ask.body.as_object_mut().expect("an object").remove("contact_id");
            ask
        }
        Slot::Body { pointer, .. } => {
            let name = pointer.rsplit('/').next().expect("a name");
            let parent = &pointer[..pointer.len() - name.len() - 1];
            match ask.body.pointer_mut(parent).filter(|parent| parent.is_object()) {
                Some(parent) => parent[name] = value.into(),
                None => ask.body[&parent[1..]] = json!({ name: value }),
            }
            ask
        }
    }
}

/// What a workflow may consist of.
fn steps() -> Value {
    json!([{ "key": "live", "title": "x", "check": "go_live" }])
}
