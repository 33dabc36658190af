//! Room `jobs`: sagas go forward as a whole or back as a whole, whoever holds them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use misy_core::{Ctx, Secret, TenantId};
use misy_jobs::sagas::{self, Halt, Held, Saga, State, Step, StepError};
use misy_jobs::{Job, Retry};
use misy_store::TenantTx;
use misy_testkit::platform_ctx;
use uuid::Uuid;

use crate::stage::{self, Stage, tenant};

const NAME: &str = "tests.saga";

/// What all steps of a test write down, and what they are told.
#[derive(Default)]
struct Book(Mutex<Vec<String>>);

impl Book {
    fn note(&self, line: String) {
        self.0.lock().expect("no panic").push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// A step that enqueues a job (its row), or only writes into the book (its effect elsewhere).
struct Note {
    name: &'static str,
    elsewhere: bool,
    fails: AtomicU32,
    impossible: bool,
    undo_fails: AtomicU32,
    sleeps: Duration,
    book: Arc<Book>,
}

fn take_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Note {
    fn outcome(&self) -> Result<(), StepError> {
        if take_one(&self.fails) {
            return Err(StepError::retry("busy"));
        }
        if self.impossible {
            return Err(StepError::Impossible { faults: Vec::new(), source: "never".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Step<u32> for Note {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    fn limit(&self) -> Duration {
        if self.sleeps.is_zero() { Duration::from_secs(50) } else { Duration::from_millis(20) }
    }

    fn retry(&self) -> Retry {
        Retry { attempts: 3, ..Retry::DEFAULT }
    }

    async fn prepare(&self, seed: &u32) -> Result<Option<Secret>, StepError> {
        Ok(Some(Secret::new(format!("{}-{seed}", self.name))))
    }

    async fn write(
        &self,
        tx: &mut TenantTx,
        _: &u32,
        prepared: Option<Secret>,
    ) -> Result<(), StepError> {
        self.book.note(prepared.expect("it was prepared").expose().to_owned());
        stage::Step::new(1).enqueue(tx);
        self.outcome()
    }

    async fn act(&self, _: &Ctx, key: Uuid, _: &u32) -> Result<(), StepError> {
        self.book.note(format!("{} {key}", self.name));
        tokio::time::sleep(self.sleeps).await;
        self.outcome()
    }

    async fn undo(&self, _: &Ctx, _: Uuid) -> Result<(), StepError> {
        self.book.note(format!("undo {}", self.name));
        if take_one(&self.undo_fails) { Err(StepError::retry("held")) } else { Ok(()) }
    }
}

fn note(book: &Arc<Book>, name: &'static str, elsewhere: bool) -> Note {
    let none = AtomicU32::default;
    Note {
        name,
        elsewhere,
        fails: none(),
        impossible: false,
        undo_fails: none(),
        sleeps: Duration::ZERO,
        book: Arc::clone(book),
    }
}

fn saga(steps: impl IntoIterator<Item = Note>) -> Saga<u32> {
    let boxed = |step: Note| Arc::new(step) as Arc<dyn Step<u32>>;
    Saga::new(NAME, steps.into_iter().map(boxed).collect())
}

async fn begin(stage: &Stage, saga: &Saga<u32>, id: TenantId) -> Option<Held> {
    let mut tx = stage.db.platform(&platform_ctx()).await.expect("a connection");
    let held = saga.begin(&mut tx, id).await.expect("it answers");
    tx.commit().await.expect("it commits");
    held
}

async fn run(stage: &Stage, saga: &Saga<u32>, held: &mut Held) -> Result<(), Halt> {
    saga.run(&stage.db, &platform_ctx(), held, &7).await
}

async fn take(stage: &Stage, saga: &Saga<u32>) -> Option<Held> {
    saga.take(&stage.db, &platform_ctx(), tenant(1)).await.expect("it answers")
}

async fn close(stage: &Stage, saga: &Saga<u32>, held: &Held) -> Result<(), Halt> {
    let mut tx = stage.db.platform(&platform_ctx()).await.expect("a connection");
    saga.close(&mut tx, held).await?;
    Ok(tx.commit().await?)
}

/// The state of the saga and of each step.
async fn progress(stage: &Stage) -> (State, String) {
    let mut tx = stage.db.platform_read(&platform_ctx()).await.expect("a connection");
    let found = sagas::find(&mut tx, tenant(1), NAME).await.expect("it answers");
    let found = found.expect("it began");
    let steps: Vec<_> = found.steps.iter().map(|step| step.state.as_str()).collect();
    (found.state, steps.join(" "))
}

#[tokio::test]
async fn steps_are_done_in_order_and_each_is_entered() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let saga = saga([note(&book, "a", false), note(&book, "b", true), note(&book, "c", false)]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    assert_eq!(progress(&stage).await, (State::Doing, "waiting waiting waiting".to_owned()));
    run(&stage, &saga, &mut held).await.expect("nothing fails");
    assert_eq!(progress(&stage).await, (State::Doing, "done done done".to_owned()));
    close(&stage, &saga, &held).await.expect("it is ours");
    assert_eq!(progress(&stage).await.0, State::Done);
    let lines = book.lines();
    assert_eq!((lines[0].as_str(), lines[2].as_str()), ("a-7", "c-7"));
    assert!(lines[1].starts_with("b "), "{lines:?}");
    assert_eq!(stage.states().await.len(), 2, "the rows of both are there");
}

#[tokio::test]
async fn rows_that_follow_one_another_are_there_together_or_not_at_all() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let second = Note { fails: 1.into(), ..note(&book, "b", false) };
    let saga = saga([note(&book, "a", false), second, note(&book, "c", false)]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    let halt = run(&stage, &saga, &mut held).await;
    assert!(matches!(halt, Err(Halt::Later { step: "b", .. })), "{halt:?}");
    assert_eq!(stage.states().await.len(), 0, "nor are the rows of the first");
    assert_eq!(progress(&stage).await, (State::Doing, "waiting failing waiting".to_owned()));
    let mut held = take(&stage, &saga).await.expect("the lease was given back");
    run(&stage, &saga, &mut held).await.expect("nothing fails now");
    assert_eq!(stage.states().await.len(), 3);
}

#[tokio::test]
async fn a_step_elsewhere_gets_the_same_key_at_every_try_and_no_other_steps() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let first = Note { fails: 1.into(), ..note(&book, "a", true) };
    let saga = saga([first, note(&book, "b", true)]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    run(&stage, &saga, &mut held).await.expect_err("the first try fails");
    let mut held = take(&stage, &saga).await.expect("the lease was given back");
    run(&stage, &saga, &mut held).await.expect("the second does not");
    let lines = book.lines();
    assert_eq!(lines[0], lines[1]);
    assert_ne!(lines[0][2..], lines[2][2..]);
    close(&stage, &saga, &held).await.expect("it is ours");
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("the last one has ended");
    run(&stage, &saga, &mut held).await.expect("nothing fails");
    assert_ne!(book.lines()[3], lines[0], "another run has other keys");
}

#[tokio::test]
async fn whoever_was_succeeded_enters_nothing_and_keeps_no_rows() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let saga = saga([note(&book, "a", false), note(&book, "b", true)]);
    let mut former = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    assert!(take(&stage, &saga).await.is_none(), "it is held");
    assert!(begin(&stage, &saga, tenant(1)).await.is_none(), "and has not ended");
    assert!(begin(&stage, &saga, tenant(2)).await.is_some(), "which is nothing to another tenant");
    stage.clock.advance_ms(61_000);
    let mut heir = take(&stage, &saga).await.expect("the lease is over");
    let halt = run(&stage, &saga, &mut former).await;
    assert!(matches!(halt, Err(Halt::Succeeded)), "{halt:?}");
    assert_eq!(stage.states().await.len(), 0, "its rows went with its transaction");
    run(&stage, &saga, &mut heir).await.expect("it is the heir's");
    assert_eq!(stage.states().await.len(), 1);
    assert!(matches!(close(&stage, &saga, &former).await, Err(Halt::Succeeded)));
    let halt = saga.undo(&stage.db, &platform_ctx(), &mut former).await;
    assert!(matches!(halt, Err(Halt::Succeeded)), "{halt:?}");
    close(&stage, &saga, &heir).await.expect("it is the heir's");
}

#[tokio::test]
async fn what_is_impossible_is_undone_from_the_step_that_may_have_begun() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let never = Note { impossible: true, ..note(&book, "b", true) };
    let saga = saga([note(&book, "a", true), never, note(&book, "c", true)]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    let halt = run(&stage, &saga, &mut held).await;
    assert!(matches!(halt, Err(Halt::Impossible { step: "b", .. })), "{halt:?}");
    saga.undo(&stage.db, &platform_ctx(), &mut held).await.expect("it goes back");
    close(&stage, &saga, &held).await.expect("it is ours");
    assert_eq!(book.lines()[2..], ["undo b", "undo a"]);
    assert_eq!(progress(&stage).await, (State::Undone, "undone undone waiting".to_owned()));
}

#[tokio::test]
async fn a_step_that_fails_too_often_is_impossible() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let saga = saga([Note { fails: 9.into(), ..note(&book, "a", true) }]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    for _ in 0..2 {
        let halt = run(&stage, &saga, &mut held).await;
        assert!(matches!(halt, Err(Halt::Later { .. })), "{halt:?}");
        held = take(&stage, &saga).await.expect("the lease was given back");
    }
    let halt = run(&stage, &saga, &mut held).await;
    assert!(matches!(halt, Err(Halt::Impossible { .. })), "{halt:?}");
}

#[tokio::test]
async fn a_step_that_takes_too_long_has_an_unknown_outcome_and_is_tried_again() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let slow = Note { sleeps: Duration::from_mins(10), ..note(&book, "a", true) };
    let saga = saga([slow]);
    let mut held = begin(&stage, &saga, tenant(1)).await.expect("it is new");
    let halt = run(&stage, &saga, &mut held).await;
    assert!(matches!(halt, Err(Halt::Later { step: "a", .. })), "{halt:?}");
    assert_eq!(progress(&stage).await, (State::Doing, "failing".to_owned()));
}

#[tokio::test]
async fn an_undo_that_fails_too_often_is_parked_until_somebody_says_go_on() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let stuck = Note { undo_fails: 3.into(), ..note(&book, "b", true) };
    let saga = saga([note(&book, "a", true), stuck]);
    let ctx = platform_ctx();
    let mut tx = stage.db.platform(&ctx).await.expect("a connection");
    let held = saga.begin_undo(&mut tx, tenant(1), Duration::ZERO).await.expect("it answers");
    tx.commit().await.expect("it commits");
    let mut held = held.expect("it is new");
    for _ in 0..2 {
        let halt = saga.undo(&stage.db, &ctx, &mut held).await;
        assert!(matches!(halt, Err(Halt::Later { step: "b", .. })), "{halt:?}");
        held = take(&stage, &saga).await.expect("the lease was given back");
    }
    let halt = saga.undo(&stage.db, &ctx, &mut held).await;
    assert!(matches!(halt, Err(Halt::Parked { step: "b" })), "{halt:?}");
    assert_eq!(progress(&stage).await, (State::Parked, "waiting stuck".to_owned()));
    assert!(take(&stage, &saga).await.is_none(), "nobody goes on by himself");
    let mut tx = stage.db.platform(&ctx).await.expect("a connection");
    assert_eq!(sagas::count_parked(&mut tx).await.expect("it counts"), 1);
    assert!(saga.unpark(&mut tx, tenant(1)).await.expect("it answers"));
    tx.commit().await.expect("it commits");
    let mut held = take(&stage, &saga).await.expect("it can be taken again");
    assert!(held.is_undoing());
    saga.undo(&stage.db, &ctx, &mut held).await.expect("it is mended");
    assert_eq!(progress(&stage).await.1, "undone undone");
}

#[tokio::test]
async fn sagas_that_nobody_holds_are_found() {
    let (stage, book) = (Stage::new().await, Arc::<Book>::default());
    let saga = saga([note(&book, "a", true)]);
    begin(&stage, &saga, tenant(1)).await.expect("it is new");
    let open = async || {
        let mut tx = stage.db.platform_read(&platform_ctx()).await.expect("a connection");
        sagas::list_open(&mut tx, NAME, 10).await.expect("it answers")
    };
    assert_eq!(open().await, Vec::<TenantId>::new());
    stage.clock.advance_ms(61_000);
    assert_eq!(open().await, [tenant(1)]);
    let mut held = take(&stage, &saga).await.expect("the lease is over");
    run(&stage, &saga, &mut held).await.expect("nothing fails");
    close(&stage, &saga, &held).await.expect("it is ours");
    stage.clock.advance_ms(61_000);
    assert_eq!(open().await, Vec::<TenantId>::new());
}

#[tokio::test]
async fn of_one_tenant_the_queue_is_counted_and_emptied_and_of_no_other() {
    use misy_jobs::belongings;
    let (stage, ctx) = (Stage::new().await, platform_ctx());
    for number in [1, 2] {
        stage.enqueue(number, stage::Step::new(1)).await;
        stage.enqueue(number, stage::Step::of("lane", 2)).await;
    }
    stage.diary.script(1, [stage::Act::Fail, stage::Act::Fail]);
    stage.worker().run_until_idle().await.expect("it works");
    stage.enqueue(1, stage::Step::new(3)).await;
    let count = async |number| belongings::count(&stage.db, &ctx, tenant(number)).await;
    assert_eq!(count(1).await.expect("it counts"), (1, 1));
    belongings::remove(&stage.db, &ctx, tenant(1)).await.expect("it removes");
    assert_eq!(count(1).await.expect("it counts"), (0, 0));
    assert_eq!(count(2).await.expect("it counts"), (0, 1));
}
