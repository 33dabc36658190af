//! Room `jobs`: the one place that starts tasks.

use tokio::task::JoinHandle;

pub(crate) fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "a worker is what runs apart from its caller")]
    tokio::spawn(work)
}
