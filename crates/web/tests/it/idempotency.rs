//! Room `web`: `Idempotency-Key`, on a real database.

use std::sync::Arc;

use axum::Router;
use http::Method;
use insta::assert_snapshot;
use misy_testkit::{TestDatabase, wall_ambient};
use misy_web::{Config, Kit, Readiness};
use tokio_postgres::NoTls;

use crate::kit::{
    Admin, Agent, Answer, JSON, OtherAdmin, Platform, TestApp, Twin, User, call, no_database,
    router, router_with,
};

const NOTE: &str = r#"{"title": "a", "colour": "red", "stars": 2}"#;

struct Keyed {
    database: TestDatabase,
    app: Arc<TestApp>,
}

impl Keyed {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let router = router(database.db(wall_ambient(1)), Config::default());
        let app = Arc::new(TestApp { router, clock: misy_testkit::HandClock::default() });
        Self { database, app }
    }

    async fn post<U: User>(&self, key: &str, body: &str) -> Answer {
        let headers = [JSON, ("idempotency-key", key)];
        self.app.send::<U>(Method::POST, "/v1/notes", &headers, body.to_owned()).await
    }

    #[expect(clippy::disallowed_methods, reason = "looks from outside, as no program may")]
    async fn count(&self, sql: &str) -> i64 {
        let connected = self.database.superuser().connect(NoTls).await;
        let (client, connection) = connected.expect("a connection");
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        client.query_one(sql, &[]).await.expect("a count").get(0)
    }

    /// How often the work was done.
    async fn notes(&self) -> i64 {
        self.count("select count(*) from audit_records").await
    }
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

#[tokio::test]
async fn the_same_request_again_gives_the_first_answer_and_does_nothing() {
    let keyed = Keyed::new().await;
    let first = keyed.post::<Admin>("k1", NOTE).await;
    assert_eq!((first.status.as_u16(), replayed(&first)), (201, false), "{first}");
    let second = keyed.post::<Admin>("k1", NOTE).await;
    assert_eq!((second.status.as_u16(), replayed(&second)), (201, true));
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("etag"), "\"v1\"");
    assert_eq!(second.header("content-type"), "application/json");
    assert_eq!(keyed.notes().await, 1);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_405_whatever_its_key_was_used_for() {
    let keyed = Keyed::new().await;
    assert_eq!(keyed.post::<Admin>("k1", NOTE).await.status.as_u16(), 201);
    let headers = [JSON, ("idempotency-key", "k1")];
    for body in [NOTE, "{}"] {
        let put = keyed.app.send::<Admin>(Method::PUT, "/v1/notes", &headers, body.to_owned());
        assert_eq!(put.await.status.as_u16(), 405);
    }
}

#[tokio::test]
async fn another_body_under_the_same_key_is_422() {
    let keyed = Keyed::new().await;
    keyed.post::<Admin>("k1", NOTE).await;
    let other = keyed.post::<Admin>("k1", r#"{"title": "b", "colour": "red", "stars": 2}"#).await;
    assert_snapshot!(other, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#idempotency.mismatch",
      "title": "The key was used for another request",
      "status": 422,
      "detail": "Use a new Idempotency-Key for a new request.",
      "code": "idempotency.mismatch"
    }
    "#);
    assert_eq!(keyed.notes().await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_actor() {
    let keyed = Keyed::new().await;
    for answer in [
        keyed.post::<Admin>("k1", NOTE).await,
        keyed.post::<Agent>("k1", NOTE).await,
        keyed.post::<OtherAdmin>("k1", NOTE).await,
    ] {
        assert_eq!((answer.status.as_u16(), replayed(&answer)), (201, false), "{answer}");
    }
    assert_eq!(keyed.notes().await, 3);
}

#[tokio::test]
async fn an_answer_pasted_into_another_tenants_row_opens_for_nobody() {
    let keyed = Keyed::new().await;
    keyed.post::<Admin>("k1", NOTE).await;
    let paste = "with pasted as (
        update idempotency_keys set tenant_id = '00000000-0000-0000-0000-000000000002' returning 1)
        select count(*) from pasted";
    assert_eq!(keyed.count(paste).await, 1);
    let answer = keyed.post::<Twin>("k1", NOTE).await;
    assert_eq!((answer.status.as_u16(), replayed(&answer)), (500, false), "{answer}");
}

#[tokio::test]
async fn while_the_first_runs_a_second_is_409() {
    let keyed = Keyed::new().await;
    let body = r#"{"title": "linger", "colour": "red", "stars": 2}"#;
    let (first, second) =
        tokio::join!(keyed.post::<Admin>("k1", body), keyed.post::<Admin>("k1", body));
    let mut both = [first, second];
    both.sort_by_key(|answer| answer.status);
    assert_eq!(both[0].status, 201);
    assert_snapshot!(both[1], @r#"
    409 application/problem+json
    {
      "type": "/docs/errors#idempotency.in_flight",
      "title": "The first request with this key still runs",
      "status": 409,
      "detail": "Wait and repeat the request with the same key to get its answer.",
      "code": "idempotency.in_flight"
    }
    "#);
    assert_eq!(both[1].header("retry-after"), "1");
    assert_eq!(keyed.notes().await, 1);
}

#[tokio::test]
async fn a_hundred_at_once_do_the_work_once() {
    let keyed = Keyed::new().await;
    let all = (0..100).map(|_| keyed.post::<Admin>("k1", NOTE));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|one| [201, 409].contains(&one.status.as_u16())));
    assert!(answers.iter().any(|one| one.status == 201));
    assert_eq!(keyed.notes().await, 1);
}

#[tokio::test]
async fn many_keys_at_once_do_not_starve_each_other() {
    let keyed = Keyed::new().await;
    let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
    let answers =
        futures_util::future::join_all(keys.iter().map(|key| keyed.post::<Admin>(key, NOTE))).await;
    assert!(answers.iter().all(|one| one.status == 201), "{}", answers[0]);
    assert_eq!(keyed.notes().await, 60);
}

#[tokio::test]
async fn a_refused_request_leaves_the_key_unused() {
    let keyed = Keyed::new().await;
    assert_eq!(keyed.post::<Admin>("k1", "{}").await.status, 422);
    assert_eq!(keyed.post::<Admin>("k1", NOTE).await.status, 201);
}

#[tokio::test]
async fn a_failure_of_ours_takes_the_work_back_and_leaves_the_key_unused() {
    let keyed = Keyed::new().await;
    let body = r#"{"title": "break", "colour": "red", "stars": 2}"#;
    assert_eq!(keyed.post::<Admin>("k1", body).await.status, 500);
    assert_eq!(keyed.notes().await, 0);
    assert_eq!(keyed.post::<Admin>("k1", NOTE).await.status, 201);
}

#[tokio::test]
async fn an_operators_key_works_too() {
    let keyed = Keyed::new().await;
    let post = async || {
        let headers = [("idempotency-key", "k1")];
        keyed.app.send::<Platform>(Method::POST, "/v1/platform", &headers, "").await
    };
    assert_eq!(post().await.status, 201);
    assert!(replayed(&post().await));
    assert_eq!(keyed.count("select count(*) from platform_audit_records").await, 1);
}

#[tokio::test]
async fn work_in_two_transactions_sees_its_own_writes_and_is_still_answered_once() {
    let keyed = Keyed::new().await;
    let post = async || {
        let headers = [("idempotency-key", "k1")];
        keyed.app.send::<Admin>(Method::POST, "/v1/notes/twice", &headers, "").await
    };
    let first = post().await;
    assert_eq!(first.json()["counts"], serde_json::json!([1, 2]), "{first}");
    assert!(replayed(&post().await));
    assert_eq!(keyed.notes().await, 2);
}

#[tokio::test]
async fn a_stored_answer_is_sealed() {
    let keyed = Keyed::new().await;
    keyed.post::<Admin>("k1", NOTE).await;
    let plain = "select count(*) from idempotency_keys where position('title'::bytea in body) > 0";
    assert_eq!(keyed.count(plain).await, 0);
    assert_eq!(keyed.count("select count(*) from idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_malformed_key_is_400() {
    let app = TestApp::new();
    let long = "k".repeat(256);
    for key in ["", "two words", "é", long.as_str()] {
        let mut request = http::Request::post("/v1/notes").header("authorization", "Bearer admin");
        request = request.header("idempotency-key", key.as_bytes());
        let request = request.body(axum::body::Body::empty()).expect("a request");
        assert_eq!(call(&app.router, request).await.status, 400, "{key}");
    }
}

#[tokio::test]
async fn reads_take_no_notice_of_a_key() {
    let app = TestApp::new();
    let sent = [("idempotency-key", "two words")];
    assert_eq!(app.send::<Admin>(Method::GET, "/v1/auth/me", &sent, "").await.status, 200);
}

#[tokio::test]
async fn a_database_that_is_down_is_503_before_anything_is_done() {
    let app = TestApp::new();
    let headers = [JSON, ("idempotency-key", "k1")];
    let answer = app.send::<Admin>(Method::POST, "/v1/notes", &headers, NOTE).await;
    assert_eq!(answer.status, 503, "{answer}");
}

async fn ready(router: &Router) -> Answer {
    let request = http::Request::get("/readyz").body(axum::body::Body::empty());
    call(router, request.expect("a request")).await
}

#[tokio::test]
async fn what_the_program_can_do_without_does_not_make_it_unready() {
    let readiness = |is_up: bool| {
        Readiness::default()
            .with("database", || std::future::ready(Ok::<(), std::fmt::Error>(())))
            .with_optional("cache", move || {
                std::future::ready(is_up.then_some(()).ok_or(std::fmt::Error))
            })
    };
    let asked = async |is_up| {
        let db = no_database(&wall_ambient(1));
        let change = |kit| Kit { readiness: readiness(is_up), ..kit };
        ready(&router_with(db, Config::default(), change)).await
    };
    let (up, away) = (asked(true).await, asked(false).await);
    assert_eq!((up.status.as_u16(), away.status.as_u16()), (200, 200), "{away}");
    assert_eq!(up.json()["checks"][1]["status"], "up");
    assert_eq!(away.json()["status"], "ready");
    assert_eq!(away.json()["checks"][0]["status"], "up");
    assert_eq!(away.json()["checks"][1]["status"], "degraded");
}

#[tokio::test]
async fn readiness_follows_the_database() {
    let keyed = Keyed::new().await;
    assert_snapshot!(ready(&keyed.app.router).await, @r#"
    200 application/json
    {
      "status": "ready",
      "checks": [
        {
          "name": "database",
          "status": "up"
        }
      ]
    }
    "#);
    assert_snapshot!(ready(&TestApp::new().router).await, @r#"
    503 application/problem+json
    {
      "type": "/docs/errors#server.unavailable",
      "title": "A service it needs is not available",
      "status": 503,
      "detail": "A dependency does not answer.",
      "checks": [
        {
          "name": "database",
          "status": "down"
        }
      ],
      "code": "server.unavailable"
    }
    "#);
}
