//! Room `server`: the matrix. Every operation of the document, by everybody, about what is their
//! own, another tenant's and nobody's: the last two are answered alike to the byte.

use std::fmt::Write as _;
use std::path::Path;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use serde_json::Value;

use super::asks::Ask;
use super::estate::must;
use super::operations::{self, Operation, Slot};
use super::stage::{CALLERS, Caller, Stage, ends_session};
use crate::golden;
use crate::program::{Program, command, folder, read_log};

/// No limit stands in the way, and the log says everything it can.
pub(super) const SETTINGS: &str = r#"
[log]
filter = "trace"
format = "json"
[web.rates]
bad_credentials = { requests = 1000000, window_s = 1 }
[web.rates.read]
each = { requests = 1000000, window_s = 1 }
tenant = { requests = 1000000, window_s = 1 }
[web.rates.write]
each = { requests = 1000000, window_s = 1 }
tenant = { requests = 1000000, window_s = 1 }
[web.rates.sign_in]
each = { requests = 1000000, window_s = 1 }
tenant = { requests = 1000000, window_s = 1 }
[identity]
per_address = { burst = 1000000, refill_ms = 1 }
per_account = { burst = 1000000, refill_ms = 1 }
access_token_s = 3600
"#;

/// What the columns of the table are.
const HEAD: &str = "\
Every operation, asked by nobody, viewer, agent, supervisor, admin, owner, an agent's API key and an
operator. Where the path names something: the status for one's own, another tenant's, nobody's. In
brackets the places where another tenant's name was put; each answer was the one about nobody.

";

/// Operations that nobody can complete with what is here. Each is asked and compared all the same;
/// that it does its work is tested where the rest of it is at hand.
const ELSEWHERE: [&str; 26] = [
    // The secret of a link in a mail: `identity`, `invitations` and `recovering`.
    "POST /v1/auth/invitation",
    "POST /v1/auth/recovery/complete",
    "POST /v1/auth/verification/complete",
    // A code of a generator that was set up: `identity`, `second_factors`.
    "POST /v1/auth/mfa/challenge",
    "POST /v1/auth/mfa/totp/confirm",
    "POST /v1/auth/mfa/verify",
    "POST /v1/auth/mfa/recovery-codes",
    "POST /v1/auth/mfa/disable",
    "DELETE /v1/users/{id}/mfa",
    // What an identity provider has signed: `identity`, `oidc`, `oidc_logout` and `saml`.
    "GET /v1/auth/oidc/{connection}/start",
    "GET /v1/auth/oidc/{connection}/callback",
    "POST /v1/auth/oidc/{connection}/backchannel-logout",
    "POST /v1/auth/saml/{connection}/acs",
    "GET /v1/auth/saml/{connection}/slo",
    "POST /v1/auth/saml/{connection}/slo",
    "POST /v1/auth/sso/exchange",
    // A record in the domain name system: `identity`, `domains`.
    "POST /v1/domains/{id}/verify",
    // A making or a removal that has given up: `tenancy`, `provisionings`.
    "POST /v1/tenants/{tenant}/provisioning/retry",
    // Sign-up is off unless an operator opens it, and what is asked is in a letter: `tenancy`,
    // `signups`.
    "POST /v1/signup",
    "POST /v1/signup/verify",
    "GET /v1/signups/{signup}",
    "POST /v1/signups/{signup}/approve",
    "POST /v1/signups/{signup}/reject",
    // A step can be settled and opened once each: `tenancy`, `onboarding`.
    "POST /v1/onboarding/check",
    "POST /v1/onboarding/skip",
    "POST /v1/onboarding/reopen",
];

/// Whether what the path names is nobody's: the same for everybody, or a connection with which
/// whoever comes may begin to sign in, as the provider that it leads to knows too. A site's id
/// stands in every page that has a chat; what its visitors are refused is tested in `chat`.
fn is_open(operation: &Operation) -> bool {
    let open = [
        "/scim/v2/ResourceTypes/",
        "/scim/v2/Schemas/",
        "/v1/auth/oidc/",
        "/v1/auth/saml/",
        "/widget/",
    ];
    open.iter().any(|start| operation.path.starts_with(start))
}

/// The matrix as far as it was asked.
struct Matrix {
    stage: Stage,
    compared: usize,
    /// All that is not as it should be, told at the end at once.
    faults: Vec<String>,
}

impl Matrix {
    /// Asks with another tenant's name in the slot and with nobody's, and compares.
    async fn compare(&mut self, operation: &Operation, caller: Caller, slot: &Slot) -> (u16, u16) {
        let kind = match slot {
            Slot::Path { kind, .. } | Slot::Body { kind, .. } => kind.clone(),
            Slot::Query { name } => name.clone(),
            Slot::Smuggled { .. } => "TenantId".to_owned(),
        };
        let absent = self.stage.theirs.absent(&kind);
        let real = self.stage.theirs.named[&kind].clone();
        if matches!(slot, Slot::Path { .. }) {
            self.stage.warm_up(operation).await;
        }
        let foreign = self.stage.ask(operation, caller, Some((slot, &real))).await;
        let nothing = self.stage.ask(operation, caller, Some((slot, &absent))).await;
        let place = format!("{} by {caller:?}, {slot}", operation.name());
        let is_path = matches!(slot, Slot::Path { .. });
        self.stage.theirs.canaries().assert_clean(&place, foreign.whole().as_bytes());
        let both_made = foreign.is_success() && nothing.is_success();
        let (one, other) = if both_made {
            (foreign.settled(&real), nothing.settled(&absent))
        } else {
            (foreign.comparable(), nothing.comparable())
        };
        self.check(one == other, || format!("{place}:\n{one}\nis not\n{other}"));
        let kept = !is_path || !foreign.is_success();
        self.check(kept && foreign.status < 500, || format!("{place}: {}", foreign.whole()));
        self.compared += 1;
        (foreign.status, nothing.status)
    }

    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    /// All cells of one operation, as a line of the table.
    async fn drive(&mut self, operation: &Operation) -> String {
        let tenants_are_the_subject = operation.path.starts_with("/v1/tenants");
        let mut marks = Vec::new();
        let (mut granted, mut last) = (false, String::new());
        for caller in CALLERS {
            let own = self.stage.ask(operation, caller, None).await;
            let place = format!("{} by {caller:?}", operation.name());
            if caller != Caller::Operator {
                self.stage.theirs.canaries().assert_clean(&place, own.whole().as_bytes());
                self.stage.theirs.ids().assert_clean(&place, own.whole().as_bytes());
            }
            self.check(own.status < 500, || format!("{place}: {}", own.whole()));
            last = own.whole();
            granted |= own.is_success();
            let mut mark = own.status.to_string();
            for slot in &operation.slots {
                let in_path = matches!(slot, Slot::Path { .. });
                if in_path && is_open(operation) {
                    continue;
                }
                // Of those who may do it at all, the one who may do most asks with other names in
                // the query and the body as well.
                let may_most = own.is_success() && caller == Caller::Person("owner");
                if !(in_path || may_most) {
                    continue;
                }
                // Every tenant is the operator's: none is foreign.
                if caller == Caller::Operator && tenants_are_the_subject {
                    continue;
                }
                let (foreign, nothing) = self.compare(operation, caller, slot).await;
                if in_path {
                    let _ = write!(mark, "/{foreign}/{nothing}");
                }
            }
            marks.push(format!("{mark:<11}"));
        }
        if ends_session(operation) {
            self.stage.renew().await;
        }
        let granted = granted || ELSEWHERE.contains(&operation.name().as_str());
        let name = operation.name();
        self.check(granted, || format!("nobody was granted {name}: give it a right body: {last}"));
        let slots: Vec<String> = operation.slots.iter().map(ToString::to_string).collect();
        format!("{} {}  [{}]\n", marks.join(" "), operation.name(), slots.join(", "))
    }

    /// A key that another tenant has used makes nothing of what is new here.
    async fn try_their_idempotency_keys(&mut self, operation: &Operation) {
        if !operation.is_keyed || operation.path_slots().count() > 0 || ends_session(operation) {
            return;
        }
        let caller = Caller::Person("owner");
        let (used, unused) = (self.stage.world.word(), self.stage.world.word());
        let body = self.stage.body(operation, caller).await;
        let ask = |bearer: &str, key: &str| {
            let ask = Ask::new(&operation.method, operation.path.clone()).by(Some(bearer));
            ask.with(body.clone()).header("idempotency-key", key)
        };
        let mut first = ask(&self.stage.theirs.bearer, &used);
        if operation.path == "/v1/messages" {
            first.body["contact_id"] = self.stage.theirs.named["ContactId"].clone().into();
        }
        first.put(&self.stage.world.api).await;
        let again = ask(&self.stage.mine.bearer, &used).put(&self.stage.world.api).await;
        assert!(!again.whole().contains("idempotency-replayed"), "{}", operation.name());
        let mistaken = again.whole().contains("idempotency.");
        self.check(!mistaken, || format!("{}: {}", operation.name(), again.whole()));
        self.stage.theirs.canaries().assert_clean(&operation.name(), again.whole().as_bytes());
        if operation.path != "/v1/channels" {
            let fresh = ask(&self.stage.mine.bearer, &unused).put(&self.stage.world.api).await;
            // What is made once only is there already when the second key comes.
            let once = again.is_success() && fresh.status == 409;
            let alike = again.status == fresh.status || once || operation.path == "/v1/users";
            self.check(alike, || format!("{}: {}", operation.name(), again.whole()));
        }
    }
}

/// The other tenant's things as they are now.
async fn state(stage: &Stage) -> Vec<String> {
    let theirs = &stage.theirs;
    let at = |path: &str, kind: &str| format!("{path}/{}", theirs.named[kind]);
    let paths = [
        at("/v1/channels", "ChannelId"),
        at("/v1/contacts", "ContactId"),
        at("/v1/conversations", "ConversationId"),
        at("/v1/messages", "MessageId"),
        at("/v1/messages", "visitor_message"),
        at("/v1/knowledge-entries", "KnowledgeEntryId"),
        at("/v1/knowledge-documents", "KnowledgeDocumentId"),
        at("/v1/users", "UserId"),
        "/v1/users".to_owned(),
        "/v1/tenant".to_owned(),
        "/v1/roles".to_owned(),
        "/v1/knowledge-entries".to_owned(),
        "/v1/knowledge-documents".to_owned(),
        "/v1/failed-jobs".to_owned(),
        "/v1/invitations".to_owned(),
        "/v1/impersonations".to_owned(),
        format!("{}/messages", at("/v1/conversations", "ConversationId")),
    ];
    let mut all = Vec::new();
    for path in paths {
        all.push(theirs.own(&stage.world, "GET", &path, Value::Null).await.to_string());
    }
    all
}

/// Everything that leaves the program beside its answers.
async fn outputs(stage: &Stage, folder: &Path, url: &str) -> Vec<(&'static str, Vec<u8>)> {
    let world = &stage.world;
    let get =
        async |host: &str, path: &str| must(host, Ask::new("GET", path)).await.whole().into_bytes();
    let provider = async |what: &str| {
        stage.mine.at_provider(world, "GET", what, Value::Null).await.whole().into_bytes()
    };
    let tenant = &stage.theirs.named["TenantId"];
    vec![
        ("the log", read_log(folder).into_bytes()),
        ("/metrics", get(&world.admin, "/metrics").await),
        ("what the provider was sent", provider("outbound").await),
        ("what the provider has of the number", provider("phones").await),
        ("what was delivered", provider("deliveries").await),
        ("misybot doctor", command(folder, url, &["doctor"])),
        (
            "misybot dead-letters",
            command(folder, url, &["dead-letters", "replay", "--tenant", tenant]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_every_operation_answers_about_another_tenant_as_about_nobody() {
    let folder = folder();
    let names = super::names::start();
    let settings = format!("{SETTINGS}\n[egress]\nname_servers = [\"{names}\"]\n");
    std::fs::write(folder.path().join("misybot.toml"), settings).expect("written");
    let postgres = folder.path().join("postgres");
    let ambient = misy_testkit::postgres::unpredictable();
    let postgres = EmbeddedPostgres::start(EmbeddedConfig::new(postgres, ambient)).await;
    let postgres = postgres.expect("a database");
    let url = postgres.url("postgres").expose().to_owned();
    let program = Program::up_on(folder.path(), &url).await;
    let stage = Stage::set_up(&program, postgres.config("postgres")).await;
    let mut matrix = Matrix { stage, compared: 0, faults: Vec::new() };
    let before = state(&matrix.stage).await;
    let document = must(&matrix.stage.world.api, Ask::new("GET", "/openapi.json")).await.json();
    let operations = operations::read(&document);
    let mut table = HEAD.to_owned();
    for operation in &operations {
        table += &matrix.drive(operation).await;
    }
    assert!(matrix.faults.is_empty(), "{}", matrix.faults.join("\n\n"));
    assert_eq!(state(&matrix.stage).await, before, "the other tenant has what it had");
    for operation in &operations {
        matrix.try_their_idempotency_keys(operation).await;
    }
    assert!(matrix.faults.is_empty(), "{}", matrix.faults.join("\n\n"));
    assert!(matrix.compared > 300, "only {} answers were compared", matrix.compared);
    let stage = &mut matrix.stage;
    for (place, text) in outputs(stage, folder.path(), &url).await {
        assert!(!text.is_empty(), "{place} is empty");
        stage.theirs.canaries().assert_clean(place, &text);
    }
    stage.seen_by_them.extend(before.concat().into_bytes());
    let unseen = stage.theirs.shown().missing(&stage.seen_by_them);
    assert_eq!(unseen, Vec::<String>::new(), "canaries that nobody could have found");
    golden::compare("crates/server/tests/it/isolation/matrix.txt", &table);
    program.stop();
    postgres.stop().await.expect("stopped");
}
