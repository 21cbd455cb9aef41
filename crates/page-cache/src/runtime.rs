//! The runtime of this crate's own: the futures of stores run on it, and what would block somebody else's.

use std::future::Future;
use std::io;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

use crate::sys::PerProcess;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Abandoned {
    #[error("the runtime for requests did not start: {0}")]
    NotStarted(String),
    #[error("what was to be done was abandoned by its runtime")]
    Died,
}

/// Runs a future and blocks the calling thread until it is done.
///
/// The caller may itself be inside a runtime: nothing of that is used, and nothing panics for want of one.
pub(crate) fn block_on<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<T, Abandoned> {
    // A channel of std, since waiting on one of tokio's panics inside a runtime.
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // The receiver waits for this very message, so it is there unless its thread is gone.
        _ = sender.send(future.await);
    });
    receiver.recv().map_err(|_| Abandoned::Died)
}

/// Does something that blocks, on a thread for that. If the future is dropped it is done all the same.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Abandoned> {
    runtime()?.spawn_blocking(work).await.map_err(|_| Abandoned::Died)
}

fn runtime() -> Result<&'static Runtime, Abandoned> {
    // A child has none of its parent's threads.
    static RUNTIME: PerProcess<io::Result<Runtime>> = PerProcess::empty();
    let start = || Builder::new_multi_thread().worker_threads(1).thread_name("page-cache").enable_all().build();
    RUNTIME.get(start).as_ref().map_err(|error| Abandoned::NotStarted(error.to_string()))
}
