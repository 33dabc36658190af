//! Room `store`: moves of documents between their homes, while they are written, interrupted and
//! turned back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use misy_store::documents::moves::{MoveError, Moved, Mover, Step};
use misy_store::documents::{Home, Phase};
use misy_testkit::{TestMongo, wall_ambient};

use super::mongo::open;
use super::*;

const KINDS: [Kind; 2] = [CONTEXTS, PAYLOADS];

struct Stage {
    database: TestDatabase,
    server: TestMongo,
    store: Documents,
    ctx: Ctx,
}

impl Stage {
    /// A tenant with documents in the database.
    async fn with_documents(count: u128) -> Self {
        let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
        let before = Documents::embedded(database.db(wall_ambient(1)));
        let ctx = ctx(1);
        for number in 0..count {
            let kind = if number % 3 == 0 { PAYLOADS } else { CONTEXTS };
            put(&before.of(&ctx).collection(kind), number, &body(number, 0)).await;
        }
        let store = Documents::mongo(database.db(wall_ambient(2)), open(&server).await);
        Self { database, server, store, ctx }
    }

    async fn mover(&self, batch: i64) -> Mover {
        let db = self.database.db(wall_ambient(3));
        Mover::new(db, open(&self.server).await, &KINDS, batch)
    }

    fn contexts(&self) -> Collection {
        self.store.of(&self.ctx).collection(CONTEXTS)
    }

    /// Everything that the tenant has, through the program's own door.
    async fn everything(&self) -> Vec<Document<Value>> {
        let mut all = Vec::new();
        for kind in KINDS {
            let collection = self.store.of(&self.ctx).collection(kind);
            let mut after = None;
            loop {
                let page = collection.list::<Value>(after, Limit::DEFAULT).await;
                let page = page.expect("it answers");
                let Some(last) = page.last() else { break };
                after = Some(Cursor(last.id));
                all.extend(page);
            }
        }
        all
    }

    async fn home(&self) -> (Home, Phase) {
        let state = self.store.of(&self.ctx).state().await.expect("it answers");
        let state = state.expect("it was decided");
        (state.home, state.phase)
    }

    async fn rows(&self, table: &str) -> usize {
        let sql = format!("select tenant_id from {table}");
        let rows = misy_testkit::postgres::query(self.database.superuser(), &sql).await;
        rows.expect("it answers").len()
    }
}

fn body(number: u128, round: u64) -> Value {
    json!({"contact": format!("c{}", number % 7), "round": round, "n": 1.0 / 3.0,
        "text": "ü".repeat(20)})
}

fn unwatched(_: Step) {}

#[tokio::test]
async fn what_was_moved_is_the_same_to_the_last_bit_and_the_way_back_is_the_same() {
    let stage = Stage::with_documents(60).await;
    let before = stage.everything().await;
    let mover = stage.mover(7).await;
    let counts = mover.count(&stage.ctx, Home::Embedded).await.expect("it counts");
    assert_eq!(counts, [("contexts", 40), ("payloads", 20)]);
    assert_eq!(stage.rows("document_changes").await, 0, "counting changes nothing");

    let moved = mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await.expect("it moves");
    assert_eq!(moved, Moved { copied: 60, followed: 0, compared: 60, cut_over: true });
    assert_eq!(stage.home().await, (Home::Mongo, Phase::Open));
    assert_eq!(stage.everything().await, before);
    assert_eq!(ids_by(&stage.contexts(), "contact", "c1").await, [1, 8, 22, 29, 43, 50]);
    let again = mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await.expect("it answers");
    assert_eq!(again, Moved::default(), "they are there already");

    put(&stage.contexts(), 1, &body(1, 9)).await;
    put(&stage.contexts(), 500, &body(500, 9)).await;
    assert!(stage.contexts().delete(id(2)).await.expect("it answers"));
    let after = stage.everything().await;
    let back = mover.roll_back(&stage.ctx, &mut unwatched).await.expect("it turns back");
    assert_eq!((back.copied, back.followed, back.cut_over), (0, 3, true));
    assert_eq!(stage.home().await, (Home::Embedded, Phase::Open));
    assert_eq!(stage.everything().await, after, "with what was written since");
    assert_eq!(ids_by(&stage.contexts(), "contact", "c1").await, [1, 8, 22, 29, 43, 50]);

    mover.finish(&stage.ctx).await.expect("it closes");
    assert_eq!(stage.home().await, (Home::Embedded, Phase::Settled));
    assert_eq!(stage.everything().await, after);
    let left = stage.server.database().list_collection_names().await.expect("it answers");
    assert_eq!(left, Vec::<String>::new());
    let nothing = mover.roll_back(&stage.ctx, &mut unwatched).await;
    assert!(matches!(nothing, Err(MoveError::NothingToUndo)));
}

/// Writes, replaces and removes without a pause until it is told to stop; gives what must be there:
/// for each number the last body whose write was acknowledged, `None` for a removal.
async fn write_for_ever(
    store: Documents,
    ctx: Ctx,
    numbers: std::ops::Range<u128>,
    stop: Arc<AtomicBool>,
) -> (Vec<(u128, Option<Value>)>, u64) {
    let documents = store.of(&ctx).collection(CONTEXTS);
    let mut expected: Vec<(u128, Option<Value>)> = numbers.map(|number| (number, None)).collect();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        for (number, last) in &mut expected {
            let number = *number;
            if (number + u128::from(round)) % 5 == 0 {
                documents.delete(id(number)).await.expect("it removes");
                *last = None;
                continue;
            }
            put(&documents, number, &body(number, round)).await;
            *last = Some(body(number, round));
        }
    }
    (expected, round)
}

/// Moves there and back while others write; every acknowledged write is there at the end.
async fn move_under_writers(stage: &Stage, home: Home) {
    let (mover, stop) = (stage.mover(16).await, Arc::new(AtomicBool::new(false)));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let store = Documents::mongo(
            stage.database.db(wall_ambient(10 + writer)),
            open(&stage.server).await,
        );
        let first = u128::from(writer) * 100 + 1_000;
        let (ctx, stop) = (stage.ctx.clone(), Arc::clone(&stop));
        writers.spawn(write_for_ever(store, ctx, first..first + 12, stop));
    }
    let moved = mover.run(&stage.ctx, home, &mut unwatched).await;
    let back = mover.roll_back(&stage.ctx, &mut unwatched).await;
    let there = mover.roll_back(&stage.ctx, &mut unwatched).await;
    stop.store(true, Ordering::Relaxed);
    for outcome in [moved, back, there] {
        let outcome = outcome.expect("it moves while others write");
        assert!(outcome.cut_over);
        assert!(outcome.followed > 0, "there was something to lose: {outcome:?}");
    }
    assert_eq!(stage.home().await, (home, Phase::Open));
    while let Some(written) = writers.join_next().await {
        let (expected, rounds) = written.expect("no write failed");
        assert!(rounds > 1);
        for (number, last) in expected {
            let kept = get(&stage.contexts(), number).await.map(|kept| kept.body);
            assert_eq!(kept, last, "document {number}");
        }
    }
    let here = stage.everything().await;
    mover.roll_back(&stage.ctx, &mut unwatched).await.expect("it turns back");
    assert_eq!(stage.everything().await, here, "both homes are the same to the last bit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_by_a_move_to_the_document_server() {
    let stage = Stage::with_documents(120).await;
    move_under_writers(&stage, Home::Mongo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_by_a_move_to_the_database() {
    let stage = Stage::with_documents(60).await;
    let mover = stage.mover(100).await;
    mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await.expect("it moves");
    mover.finish(&stage.ctx).await.expect("it closes");
    assert_eq!(stage.rows("documents").await, 0, "the old home is emptied");
    move_under_writers(&stage, Home::Embedded).await;
}

#[tokio::test]
async fn a_move_that_was_interrupted_goes_on_where_it_was() {
    let stage = Stage::with_documents(60).await;
    let before = stage.everything().await;
    let mover = stage.mover(5).await;
    let reached = tokio::sync::Notify::new();
    let mut watch = |step| {
        if matches!(step, Step::Copied(copied, 60) if copied >= 25) {
            reached.notify_one();
        }
    };
    tokio::select! {
        _ = mover.run(&stage.ctx, Home::Mongo, &mut watch) => panic!("it was to be stopped"),
        () = reached.notified() => {}
    }
    assert_eq!(stage.home().await, (Home::Embedded, Phase::Copying));
    put(&stage.contexts(), 1, &body(1, 7)).await;
    let mut all = stage.everything().await;
    assert_ne!(all, before);
    let resumed = loop {
        match mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await {
            Err(MoveError::Busy) => tokio::task::yield_now().await,
            other => break other.expect("it goes on"),
        }
    };
    assert!(resumed.copied <= 35, "not from the start: {resumed:?}");
    assert_eq!((resumed.followed, resumed.compared), (1, 60));
    assert_eq!(stage.everything().await, all);
    mover.finish(&stage.ctx).await.expect("it closes");
    all.retain(|document| document.id != id(3));
    let payloads = stage.store.of(&stage.ctx).collection(PAYLOADS);
    assert!(payloads.delete(id(3)).await.expect("it answers"));
    assert_eq!(stage.everything().await, all);
    assert_eq!(stage.rows("document_changes").await, 0, "nobody follows any more");
}

#[tokio::test]
async fn a_move_that_is_given_up_leaves_nothing_behind() {
    let stage = Stage::with_documents(20).await;
    let (before, mover) = (stage.everything().await, stage.mover(5).await);
    let reached = tokio::sync::Notify::new();
    let mut watch = |_| reached.notify_one();
    tokio::select! {
        _ = mover.run(&stage.ctx, Home::Mongo, &mut watch) => panic!("it was to be stopped"),
        () = reached.notified() => {}
    }
    loop {
        match mover.roll_back(&stage.ctx, &mut unwatched).await {
            Err(MoveError::Busy) => tokio::task::yield_now().await,
            other => break assert!(other.is_ok(), "it is given up"),
        }
    }
    assert_eq!(stage.home().await, (Home::Embedded, Phase::Settled));
    assert_eq!(stage.everything().await, before);
    let left = stage.server.database().list_collection_names().await.expect("it answers");
    assert_eq!(left, Vec::<String>::new());
    let nothing = mover.finish(&stage.ctx).await;
    assert!(matches!(nothing, Err(MoveError::NothingToUndo)));
}

#[tokio::test]
async fn documents_of_a_kind_that_the_program_does_not_know_are_not_left_behind_silently() {
    let stage = Stage::with_documents(1).await;
    let strange = stage.store.of(&stage.ctx).collection(Kind::new("strange", &[]));
    put(&strange, 1, &json!({})).await;
    let mover = stage.mover(5).await;
    let refused = mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await;
    assert!(matches!(refused, Err(MoveError::UnknownKind(name)) if name == "strange"));
    assert_eq!(stage.home().await, (Home::Embedded, Phase::Settled));
}

#[tokio::test]
async fn what_a_foreign_hand_changes_in_the_new_home_is_found_and_mended() {
    let stage = Stage::with_documents(30).await;
    let (before, mover) = (stage.everything().await, stage.mover(4).await);
    let reached = tokio::sync::Notify::new();
    let mut watch = |step| {
        if matches!(step, Step::Copied(30, 30)) {
            reached.notify_one();
        }
    };
    tokio::select! {
        _ = mover.run(&stage.ctx, Home::Mongo, &mut watch) => panic!("it was to be stopped"),
        () = reached.notified() => {}
    }
    for name in stage.server.database().list_collection_names().await.expect("it answers") {
        let copies = stage.server.database().collection::<bson::Document>(&name);
        let change = bson::doc! { "$set": { "body.round": 666_i64 } };
        copies.update_one(bson::doc! {}, change).await.expect("its administrator may");
        copies.delete_one(bson::doc! { "body.round": 0_i64 }).await.expect("it may");
    }
    let resumed = loop {
        match mover.run(&stage.ctx, Home::Mongo, &mut unwatched).await {
            Err(MoveError::Busy) => tokio::task::yield_now().await,
            other => break other.expect("it goes on"),
        }
    };
    assert_eq!(resumed.followed, 4, "two of each kind");
    assert_eq!(stage.everything().await, before);
}
