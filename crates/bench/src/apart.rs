//! Room `bench`: loads that run on a thread with a runtime of their own, where nobody else's work
//! comes in between and no other thread has to be woken.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use crate::Failure;

/// Runs a load on a thread of its own. `first` runs there before anything else does.
pub(crate) async fn run<T: Send + 'static>(
    first: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    load: impl AsyncFnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let work = move || {
        let worked = || {
            first()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(load())
        };
        // Nobody hears it if the bench is over.
        drop(done.send(worked()));
    };
    std::thread::Builder::new().name("load".to_owned()).spawn(work)?;
    outcome.await?
}

/// Has this thread run when nothing else wants to (`SCHED_IDLE`, sched(7)).
pub(crate) fn step_back() -> Result<(), Failure> {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        .map_err(|error| format!("a thread cannot step back: {error:?}").into())
}
