//! Room `web`: an app with users as types, and its answers as text for snapshots.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{Actor, Ambient, OperatorId, Proof, Role, Secret, TenantId, UserId};
use misy_store::{Db, RolePasswords};
use misy_testkit::{HandClock, Seeded};
use misy_web::{AuthError, Authenticator, Config, Kit, Peer, Principal, TenantDirectory};
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::sample;

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

/// Who calls.
pub(crate) trait User {
    /// Their credential.
    const BEARER: Option<&'static str>;
}

/// One of them, by their place in [`BEARERS`].
pub(crate) struct Someone<const N: usize>;

const BEARERS: [Option<&str>; 10] = [
    None,
    Some("agent"),
    Some("admin"),
    Some("other"),
    Some("suspended"),
    Some("operator"),
    Some("expired"),
    Some("guess"),
    Some("broken"),
    Some("twin"),
];

impl<const N: usize> User for Someone<N> {
    const BEARER: Option<&'static str> = BEARERS[N];
}

/// Sends no credential.
pub(crate) type Anonymous = Someone<0>;
/// A person of the first tenant.
pub(crate) type Agent = Someone<1>;
/// An administrator of the first tenant.
pub(crate) type Admin = Someone<2>;
/// An administrator of the second tenant.
pub(crate) type OtherAdmin = Someone<3>;
/// A person of a tenant that was suspended.
pub(crate) type Suspended = Someone<4>;
/// A person who runs the platform.
pub(crate) type Platform = Someone<5>;
/// Had a good credential once.
pub(crate) type Late = Someone<6>;
/// Sends a made-up credential.
pub(crate) type Guesser = Someone<7>;
/// Calls while the database of credentials is down.
pub(crate) type Unlucky = Someone<8>;

/// In the second tenant under the very id that the first one's administrator has.
pub(crate) type Twin = Someone<9>;

struct Credentials;

fn person(of: u128, role: Role) -> Principal {
    let user = UserId::from_uuid(Uuid::from_u128(of << 8 | role as u128));
    Principal::Tenant {
        tenant: tenant(of),
        actor: Actor::User(user),
        grants: role.grants(),
        proof: Proof::default(),
    }
}

#[async_trait]
impl Authenticator for Credentials {
    async fn authenticate(&self, bearer: &Secret, _: Peer) -> Result<Principal, AuthError> {
        match bearer.expose() {
            "agent" => Ok(person(1, Role::Agent)),
            "admin" => Ok(person(1, Role::Admin)),
            "other" => Ok(person(2, Role::Admin)),
            "suspended" => Ok(person(3, Role::Admin)),
            "operator" => Ok(Principal::Operator {
                actor: Actor::Operator(OperatorId::from_uuid(Uuid::from_u128(9))),
                grants: Role::Operator.grants(),
            }),
            "twin" => {
                let user = UserId::from_uuid(Uuid::from_u128(1 << 8 | Role::Admin as u128));
                let (actor, grants) = (Actor::User(user), Role::Admin.grants());
                Ok(Principal::Tenant { tenant: tenant(2), actor, grants, proof: Proof::default() })
            }
            "expired" => Err(AuthError::Expired),
            "broken" => Err(misy_store::Error::Unavailable("secret-host refused".into()).into()),
            _ => Err(AuthError::Invalid),
        }
    }
}

struct Tenants;

#[async_trait]
impl TenantDirectory for Tenants {
    async fn is_active(&self, asked: TenantId) -> Result<bool, misy_store::Error> {
        Ok(asked != tenant(3))
    }

    async fn allows_origin(
        &self,
        asked: Option<TenantId>,
        origin: &str,
    ) -> Result<bool, misy_store::Error> {
        let owner = match origin {
            "https://one.example" => tenant(1),
            "https://two.example" => tenant(2),
            _ => return Ok(false),
        };
        Ok(asked.is_none_or(|asked| asked == owner))
    }
}

/// The sample routes with everything around them.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) clock: HandClock,
}

/// Pools that lead nowhere: nothing is connected until somebody asks.
pub(crate) fn no_database(ambient: &Ambient) -> Db {
    let mut server = tokio_postgres::Config::new();
    server.host("127.0.0.1").port(1).dbname("none");
    let passwords = RolePasswords::derive(&Key::new([7; 32]));
    let config = misy_store::Config { wait_ms: 200, ..misy_store::Config::default() };
    Db::open(&server, &passwords, &config, ambient.clone())
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let clock = HandClock::default();
        let ambient = Ambient::new(Arc::new(clock.clone()), Arc::new(Seeded::new(1)));
        let db = no_database(&ambient);
        Self { router: router(db, config), clock }
    }

    pub(crate) async fn get<U: User>(&self, path: &str) -> Answer {
        self.send::<U>(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post<U: User>(&self, path: &str, body: &str) -> Answer {
        self.send::<U>(Method::POST, path, &[JSON], body.to_owned()).await
    }

    pub(crate) async fn send<U: User>(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(bearer) = U::BEARER {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        call(&self.router, request.body(body.into()).expect("a valid request")).await
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// The sample routes on this database.
pub(crate) fn router(db: Db, config: Config) -> Router {
    router_with(db, config, |kit| kit)
}

/// The same with a kit that was changed.
pub(crate) fn router_with(db: Db, config: Config, change: impl FnOnce(Kit) -> Kit) -> Router {
    let api = sample::router(db.clone());
    let answer_key = Key::new([3; 32]);
    let kit = Kit::new(db, Arc::new(Credentials), Arc::new(Tenants), answer_key, config);
    misy_web::app(api, change(kit))
}

pub(crate) async fn call(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router cannot fail");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a complete body");
    Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The body without the one member that differs between two requests for the same thing.
    pub(crate) fn without_instance(&self) -> String {
        let mut body = self.json();
        body.as_object_mut().expect("an object").remove("instance");
        body.to_string()
    }
}

/// Status, content type and body, without the request's id.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.header("content-type"))?;
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(mut body) => {
                let instance = body.as_object_mut().and_then(|body| body.remove("instance"));
                assert_eq!(instance.is_some(), self.status.as_u16() >= 400, "{body}");
                write!(f, "\n{body:#}")
            }
            Err(_) => write!(f, "\n{}", String::from_utf8_lossy(&self.body)),
        }
    }
}
