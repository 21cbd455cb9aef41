//! The runtime on which the futures of stores run.

use std::future::Future;
use std::io;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;
use crate::sys::PerProcess;

/// Runs a future on this crate's own runtime and blocks the calling thread until it is done.
///
/// The caller may itself be inside a runtime: nothing of that is used, and nothing panics for want of one.
///
/// # Errors
///
/// The future's own, or [`Failure::Abandoned`] if the runtime could not be started or died.
pub(super) fn block_on<T: Send + 'static>(
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    // A child has none of its parent's threads.
    static RUNTIME: PerProcess<io::Result<Runtime>> = PerProcess::empty();
    let start = || Builder::new_multi_thread().worker_threads(1).thread_name("svf-http").enable_all().build();
    let runtime = RUNTIME
        .get(start)
        .as_ref()
        .map_err(|error| Failure::Abandoned(format!("the runtime for requests did not start: {error}")))?;
    // A channel of std, since waiting on one of tokio's panics inside a runtime.
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // The receiver waits for this very message, so it is there unless its thread is gone.
        _ = sender.send(future.await);
    });
    let died = |_| Err(Failure::Abandoned("the request was abandoned by its runtime".to_owned()));
    receiver.recv().unwrap_or_else(died)
}
