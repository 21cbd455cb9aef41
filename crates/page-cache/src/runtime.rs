//! The runtimes of this crate's own: on one the futures of stores run, on the others what would block somebody else's.
//!
//! They are several, since a client looks up names on threads of the runtime that its futures run on: readers that wait
//! are not to take these from those that they wait for, nor theirs from readers of what is held.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::sys::PerProcess;

/// So that one store which blocks its thread does not stop all others.
const WORKERS: usize = 2;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Abandoned {
    #[error("the runtime for requests did not start: {0}")]
    NotStarted(String),
    #[error("what was to be done was abandoned by its runtime")]
    Died,
    #[error(
        "a store's future read through a cache and would wait for its own thread; use the async methods there, or \
         spawn_blocking"
    )]
    OnItsOwnThread,
    #[error("the store did not give up within {0:?}; perhaps its futures block their thread")]
    Late(Duration),
}

/// Runs a future and blocks the calling thread until it is done, or for as long as `limit`, if there is one.
///
/// The caller may itself be inside a runtime: nothing of that is used, and nothing panics for want of one. Within a
/// future that runs here it is refused, since one that blocks its thread holds up all others.
pub(crate) fn block_on<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    limit: Option<Duration>,
) -> Result<T, Abandoned> {
    if POLLING.get() {
        return Err(Abandoned::OnItsOwnThread);
    }
    // A channel of std, since waiting on one of tokio's panics inside a runtime.
    let (sender, receiver) = mpsc::sync_channel(1);
    let task = requests()?.spawn(async move {
        // The receiver waits for this very message, so it is there unless its thread is gone, or had enough.
        _ = sender.send(marked(future).await);
    });
    let Some(limit) = limit else { return receiver.recv().map_err(|_| Abandoned::Died) };
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Disconnected => Abandoned::Died,
        RecvTimeoutError::Timeout => {
            task.abort();
            Abandoned::Late(limit)
        }
    })
}

/// Does something that blocks, on a thread for that. If the future is dropped it is done all the same.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Abandoned> {
    readers()?.spawn_blocking(work).await.map_err(|_| Abandoned::Died)
}

/// The same for what waits for no request, as a read of what is held: not behind those who do, of whom there may be
/// more than threads.
pub(crate) async fn unblock_soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Abandoned> {
    static SOON: Started = PerProcess::empty();
    started(&SOON, 1, "page-cache-held")?.spawn_blocking(work).await.map_err(|_| Abandoned::Died)
}

/// Begins something that blocks, on a thread for that.
pub(crate) fn spawn_blocking(work: impl FnOnce() + Send + 'static) -> Result<(), Abandoned> {
    readers()?.spawn_blocking(work);
    Ok(())
}

thread_local! {
    /// Whether this thread is within a future that `block_on` was given.
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

struct Polling;

impl Drop for Polling {
    fn drop(&mut self) {
        POLLING.set(false);
    }
}

/// A future during whose work the thread is marked. Not all of the runtime's threads are to be: those for what blocks
/// may wait for it.
pub(crate) async fn marked<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        POLLING.set(true);
        let _until_dropped = Polling;
        future.as_mut().poll(context)
    })
    .await
}

/// A runtime that may be dropped anywhere: where two threads start one at once, one of them does so, perhaps within a
/// future, and there tokio's own panics that waits for its threads.
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

type Started = PerProcess<Own>;

fn requests() -> Result<&'static Runtime, Abandoned> {
    // A child has none of its parent's threads.
    static REQUESTS: Started = PerProcess::empty();
    started(&REQUESTS, WORKERS, "page-cache")
}

fn readers() -> Result<&'static Runtime, Abandoned> {
    static READERS: Started = PerProcess::empty();
    // What it is for has threads that come and go; a worker only serves who finds himself in this runtime.
    started(&READERS, 1, "page-cache-read")
}

/// If it cannot be started now, as where there are too many threads, who comes next tries again.
fn started<'a>(runtime: &'a Started, workers: usize, name: &str) -> Result<&'a Runtime, Abandoned> {
    let start = || {
        let runtime = Builder::new_multi_thread().worker_threads(workers).thread_name(name).enable_all().build();
        runtime.map(|runtime| Own(Some(runtime)))
    };
    let own = runtime.get_or_try(start).map_err(|error| Abandoned::NotStarted(error.to_string()))?;
    own.0.as_ref().ok_or(Abandoned::Died)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, RwLock};
    use std::thread;

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn who_would_wait_for_himself_is_refused() {
        let within = block_on(async { block_on(async { 1 }, LONG) }, LONG).unwrap();
        assert!(matches!(within, Err(Abandoned::OnItsOwnThread)), "{within:?}");
        // The mark goes with the future, and a thread that may block has none.
        let beside = block_on(async { tokio::task::spawn_blocking(|| block_on(async { 1 }, LONG)).await }, LONG);
        assert_eq!(beside.unwrap().unwrap().unwrap(), 1);
    }

    #[test]
    fn a_future_that_blocks_its_thread_holds_up_neither_its_caller_nor_others() {
        let (release, blocked) = mpsc::channel::<()>();
        let soon = Duration::from_millis(100);
        let late = block_on(async move { blocked.recv() }, Some(soon));
        assert!(matches!(late, Err(Abandoned::Late(limit)) if limit == soon), "{late:?}");
        assert_eq!(block_on(async { 1 }, LONG).unwrap(), 1);
        drop(release);
    }

    #[test]
    fn tasks_that_start_a_runtime_at_once_share_one() {
        const TASKS: usize = 8;
        for _ in 0..5 {
            let (runtime, barrier) = (Started::empty(), Barrier::new(TASKS));
            thread::scope(|scope| {
                for _ in 0..TASKS {
                    scope.spawn(|| {
                        let caller = Builder::new_current_thread().build().unwrap();
                        caller.block_on(async {
                            barrier.wait();
                            assert!(started(&runtime, 1, "page-cache-test").is_ok());
                        });
                    });
                }
            });
        }
    }

    #[test]
    fn readers_that_wait_take_no_thread_from_requests() {
        // As many as a runtime has threads for what blocks.
        const ALL: usize = 512;
        let (gate, waiting) = (Arc::new(RwLock::new(())), Arc::new(AtomicUsize::new(0)));
        let closed = gate.write();
        let (behind, count) = (Arc::clone(&gate), Arc::clone(&waiting));
        let readers = async move {
            for _ in 0..ALL {
                let (gate, waiting) = (Arc::clone(&behind), Arc::clone(&count));
                tokio::spawn(unblock(move || {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    drop(gate.read());
                }));
            }
        };
        block_on(readers, LONG).unwrap();
        while waiting.load(Ordering::Relaxed) < ALL {
            thread::sleep(Duration::from_millis(1));
        }
        // As a name is looked up.
        let request = async { tokio::task::spawn_blocking(|| 1).await };
        assert_eq!(block_on(request, Some(Duration::from_secs(20))).unwrap().unwrap(), 1);
        drop(closed);
    }
}
