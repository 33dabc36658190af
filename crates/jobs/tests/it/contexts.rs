//! Room `jobs`: jobs that come without a tenant, with two, or with one that is not active.

use std::io::Write;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_jobs::{Config, PlatformJob, Tally, Tenants, Worker};
use misy_store::Error;
use misy_testkit::platform_ctx;
use serde_json::Value;

use crate::stage::{Act, Stage, Step, Sweep, ctx, tenant};

const BURIED: Tally = Tally { done: 0, retried: 0, parked: 0, buried: 1 };

/// Runs what is in the queue after a foreign hand was in it; gives what the dead letter says.
async fn buried(stage: &Stage, foreign_hand: &str) -> String {
    stage.rows(foreign_hand, &[]).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap(), BURIED);
    assert!(stage.diary.entries().is_empty(), "it did not begin");
    stage.rows("select error from dead_letters", &[]).await[0].get("error")
}

#[tokio::test]
async fn a_job_whose_envelope_names_another_tenant_than_its_row_is_refused() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let named = format!("'\"{}\"'", tenant(2));
    let sql = format!("update jobs set envelope = jsonb_set(envelope::jsonb, '{{o}}', {named})");
    assert_eq!(buried(&stage, &sql).await, "context.ambiguous_tenant");
}

#[tokio::test]
async fn a_job_whose_row_was_moved_to_another_tenant_is_refused() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let sql = format!("update jobs set tenant_id = '{}'", tenant(2).uuid());
    assert_eq!(buried(&stage, &sql).await, "context.ambiguous_tenant");
}

#[tokio::test]
async fn a_job_without_a_tenant_in_its_envelope_is_refused() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let sql = "update jobs set envelope = (envelope::jsonb - 'o')::json";
    assert_eq!(buried(&stage, sql).await, "context.missing_tenant");
}

#[tokio::test]
async fn a_tenants_job_in_a_row_without_a_tenant_is_refused() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let sql = "update jobs set tenant_id = null";
    assert_eq!(buried(&stage, sql).await, "context.missing_tenant");
}

#[tokio::test]
async fn a_job_of_the_platform_that_was_given_a_tenant_is_refused() {
    let stage = Stage::new().await;
    let mut tx = stage.db.platform(&platform_ctx()).await.unwrap();
    Sweep(1).enqueue(&mut tx);
    tx.commit().await.unwrap();
    let sql = format!("update jobs set tenant_id = '{}'", tenant(2).uuid());
    assert_eq!(buried(&stage, &sql).await, "context.ambiguous_tenant");
}

#[tokio::test]
async fn a_job_of_the_platform_whose_envelope_was_given_a_tenant_is_refused() {
    let stage = Stage::new().await;
    let mut tx = stage.db.platform(&platform_ctx()).await.unwrap();
    Sweep(1).enqueue(&mut tx);
    tx.commit().await.unwrap();
    let named = format!("'\"{}\"'", tenant(2));
    let sql = format!("update jobs set envelope = jsonb_set(envelope::jsonb, '{{o}}', {named})");
    assert_eq!(buried(&stage, &sql).await, "context.ambiguous_tenant");
}

/// Who is active: those that are listed, or nobody knows.
#[derive(Clone, Default)]
struct Directory(Arc<Mutex<Option<Vec<TenantId>>>>);

#[async_trait]
impl Tenants for Directory {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, Error> {
        let active = self.0.lock().unwrap();
        let active = active.as_ref().ok_or_else(|| Error::Unavailable("down".into()))?;
        Ok(active.contains(&tenant))
    }
}

#[tokio::test]
async fn jobs_of_a_tenant_that_is_not_active_wait_and_count_no_attempt() {
    let stage = Stage::new().await;
    let directory = Directory::default();
    let registry = stage.registry().only_active(Arc::new(directory.clone()));
    let worker = Worker::new(stage.db.clone(), registry, Config::default(), stage.ambient.clone());
    stage.enqueue(1, Step::new(1)).await;
    stage.enqueue(2, Step::new(2)).await;
    assert_eq!(worker.run_until_idle().await.unwrap().parked, 2, "it is not known who is active");
    *directory.0.lock().unwrap() = Some(vec![tenant(2)]);
    stage.clock.advance_ms(5_000);
    let tally = worker.run_until_idle().await.unwrap();
    assert_eq!((tally.parked, tally.done, stage.diary.entries()), (1, 1, vec![2]));
    assert_eq!(stage.queue().await[0].attempts, 0);
    *directory.0.lock().unwrap() = Some(vec![tenant(1)]);
    stage.clock.advance_ms(30_000);
    assert_eq!(worker.run_until_idle().await.unwrap().done, 1);
    assert_eq!(stage.diary.entries(), [2, 1]);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_line_of_a_job_names_its_tenant_and_the_request_that_caused_it() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Log]);
    stage.enqueue(1, Step::new(1)).await;
    let page = Page::default();
    let writer = page.clone();
    let lines = tracing_subscriber::fmt().json().with_max_level(tracing::Level::WARN);
    let subscriber = lines.with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    stage.worker().run_until_idle().await.unwrap();
    drop(guard);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    let span = &lines[0]["span"];
    assert_eq!(span["tenant"], tenant(1).to_string(), "{text}");
    assert_eq!(span["request_id"], ctx(1).request().as_str());
    assert_eq!(span["trace_id"], format!("{:032x}", ctx(1).trace().trace_id));
}
