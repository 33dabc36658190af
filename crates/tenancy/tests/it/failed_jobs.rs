//! Room `tenancy`: a tenant sees its own jobs that gave up, without what they work on, and has them
//! run again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use misy_core::{Ctx, TenantId};
use misy_jobs::{Job, JobError, Registry, Retry, Worker};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::house::{Admin, Agent, House, Operator, owner};

const PATH: &str = "/v1/failed-jobs";

/// Fails as often as it is told, with a text that nobody is to see.
#[derive(Debug, Serialize, Deserialize)]
struct Doomed;

impl Job for Doomed {
    const NAME: &'static str = "tests.doomed";
    const RETRY: Retry = Retry::NEVER;
    type Deps = AtomicU32;

    async fn run(self, _: Ctx, failures: Arc<AtomicU32>) -> Result<(), JobError> {
        let left =
            failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        match left {
            Ok(1) => panic!("on purpose"),
            Ok(_) => Err(JobError::fail(std::io::Error::other("number 4711 was refused"))),
            Err(_) => Ok(()),
        }
    }
}

async fn enqueue(house: &House, tenant: TenantId) {
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    Doomed.enqueue(&mut tx);
    tx.commit().await.expect("committed");
}

async fn run(house: &House, failures: &Arc<AtomicU32>) -> usize {
    let registry = Registry::new().register::<Doomed>(Arc::clone(failures));
    let ambient = house.deps.ambient.clone();
    let worker = Worker::new(house.db.clone(), registry, misy_jobs::Config::default(), ambient);
    worker.run_until_idle().await.expect("the database answers").done
}

#[tokio::test]
async fn jobs_that_gave_up_are_listed_without_content_and_run_again() {
    let house = House::build().await;
    let (one, two) = (house.tenant("one1").await, house.tenant("two2").await);
    let failures = Arc::new(AtomicU32::new(2));
    enqueue(&house, one).await;
    run(&house, &failures).await;
    enqueue(&house, one).await;
    run(&house, &failures).await;
    let listed = house.get(&Admin(one), PATH).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(listed.column("reason"), ["panicked", "failed"], "newest first");
    assert_eq!(listed.column("name"), ["tests.doomed"; 2]);
    let members: Vec<&String> =
        listed.body["data"][0].as_object().expect("an object").keys().collect();
    assert_eq!(members, ["id", "name", "attempts", "reason", "failed_at"]);
    assert!(!listed.body.to_string().contains("4711"));
    assert_eq!(house.get(&Admin(two), PATH).await.body["data"], json!([]));
    let first = house.get(&Admin(one), &format!("{PATH}?limit=1")).await;
    let next = format!("{PATH}?limit=1&cursor={}", first.text("next_cursor"));
    assert_eq!(house.get(&Admin(one), &next).await.column("reason"), ["failed"]);

    let id = listed.column("id")[1].to_owned();
    let replay = format!("{PATH}/{id}/replay");
    let asked = house.post(&Admin(one), &replay, Value::Null).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    assert_eq!(run(&house, &failures).await, 2, "the asking and the job itself");
    assert_eq!(house.get(&Admin(one), PATH).await.column("reason"), ["panicked"]);
    let actions = house.get(&Admin(one), "/v1/audit/records").await;
    assert_eq!(actions.column("action")[0], "dead_letter.replayed");
    let again = house.post(&Admin(one), &replay, Value::Null).await;
    assert_eq!(again.refusal(), (404, "request.not_found"));
}

#[tokio::test]
async fn a_foreign_job_is_like_none_and_who_may_not_is_told_so() {
    let house = House::build().await;
    let (one, two) = (house.tenant("one1").await, house.tenant("two2").await);
    let failures = Arc::new(AtomicU32::new(2));
    enqueue(&house, one).await;
    run(&house, &failures).await;
    let id = house.get(&Admin(one), PATH).await.column("id")[0].to_owned();
    let replay = format!("{PATH}/{id}/replay");
    let foreign = house.post(&Admin(two), &replay, Value::Null).await;
    let absent = format!("{PATH}/job_00000000000000000000000001/replay");
    let absent = house.post(&Admin(two), &absent, Value::Null).await;
    assert_eq!(foreign.refusal(), (404, "request.not_found"));
    assert_eq!(absent.refusal(), foreign.refusal());
    assert_eq!(house.get(&Agent(one), PATH).await.refusal().0, 403);
    assert_eq!(house.post(&Agent(one), &replay, Value::Null).await.refusal().0, 403);
    assert_eq!(house.get(&Operator, PATH).await.refusal().0, 403);
    assert_eq!(house.get(&Admin(one), PATH).await.column("id"), [id], "nothing was replayed");
}
