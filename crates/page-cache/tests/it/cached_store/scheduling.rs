//! Nobody's runtime is blocked.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use object_store::{ObjectStore, ObjectStoreExt};

use super::{PAGE, Setup, bytes};

/// How often the system has taken the processor from this thread, which is no doing of its own.
fn interruptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("nonvoluntary_ctxt_switches")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// A future whose longest poll is measured, of those in which the thread had its processor all the time or gave it away
/// by itself, as who waits does.
struct Measured<F> {
    future: Pin<Box<F>>,
    longest: Duration,
}

impl<F: Future> Future for Measured<F> {
    type Output = (F::Output, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (before, start) = (interruptions(), Instant::now());
        let polled = self.future.as_mut().poll(context);
        let took = start.elapsed();
        if interruptions() == before {
            self.longest = self.longest.max(took);
        }
        polled.map(|output| (output, self.longest))
    }
}

async fn measured<F: Future>(future: F) -> (F::Output, Duration) {
    Measured { future: Box::pin(future), longest: Duration::ZERO }.await
}

#[tokio::test(flavor = "current_thread")]
async fn many_tasks_on_one_thread() {
    let setup = Setup::new();
    let all = bytes(4 << 20);
    setup.put_behind("a", &all).await;
    setup.inner.delay(Duration::from_millis(20));
    for cold in [true, false] {
        let start = Instant::now();
        let tasks: Vec<_> = (0..64u64)
            .map(|task| {
                let (store, all) = (setup.store.clone(), all.clone());
                tokio::spawn(async move {
                    let mut longest = Duration::ZERO;
                    for step in 0..10u64 {
                        let at = (task * 65_536 + step * 4_111) % (4 << 20);
                        let range = at..(at + 10_000).min(4 << 20);
                        let (read, poll) = measured(store.get_range(&"a".into(), range.clone())).await;
                        assert!(read.unwrap() == all[range.start as usize..range.end as usize], "{range:?}");
                        longest = longest.max(poll);
                    }
                    longest
                })
            })
            .collect();
        let mut polls = Vec::new();
        for task in tasks {
            polls.push(tokio::time::timeout(Duration::from_secs(60), task).await.expect("no deadlock").unwrap());
        }
        let requests = setup.inner.take_asked().len();
        if cold {
            assert!(requests > 0);
        } else {
            assert_eq!(requests, 0);
            let longest = polls.into_iter().max().unwrap();
            assert!(longest < Duration::from_millis(5), "{longest:?} of {:?}", start.elapsed());
        }
        // Each of its 64 KiB but the last four pages, which are read ahead or not; and nothing twice.
        let expected = if cold { 64 * 12 * PAGE..=4 << 20 } else { 0..=0 };
        assert!(expected.contains(&setup.inner.take_bytes()));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_reads_what_is_held_lets_others_run() {
    let setup = Setup::new();
    setup.put_behind("a", &bytes(20_000)).await;
    let path = object_store::path::Path::from("a");
    for _ in 0..2 {
        setup.store.get_range(&path, 0..20_000).await.unwrap();
        setup.store.flush().await;
    }
    let origin = page_cache::ObjectStoreOrigin::new(std::sync::Arc::new(setup.inner.clone()), path.clone(), "tests");
    let file = setup.store.cache().file(origin).unwrap();
    for kind in 0..4 {
        let other = tokio::spawn(async {});
        for _ in 0..10_000 {
            match kind {
                0 => drop(setup.store.get_range(&path, 5..1000).await.unwrap()),
                1 => drop(setup.store.get_ranges(&path, &[5..10, 8_000..9_000]).await.unwrap()),
                2 => drop(file.bytes_async(5..1000).await.unwrap()),
                _ => drop(file.read_ranges_async(vec![5..10, 8_000..9_000]).await.unwrap()),
            }
        }
        assert!(other.is_finished(), "{kind}");
    }
}

#[tokio::test]
async fn what_is_held_is_read_however_many_wait_for_the_store() {
    // More than a runtime of tokio's has threads for what blocks.
    const WAITING: usize = 700;
    let setup = Setup::new();
    let all = bytes(300_000);
    setup.put_behind("a", &all).await;
    setup.store.get(&"a".into()).await.unwrap();
    setup.store.flush().await;
    setup.inner.be_silent(true);
    let waiting = (0..WAITING).map(|number| {
        let store = setup.store.clone();
        tokio::spawn(async move { drop(store.get_range(&format!("{number}").into(), 0..10).await) })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let path = "a".into();
    let read = async {
        // Not checked by this process yet, and longer than what is copied at once.
        assert!(setup.store.get_range(&path, 0..100).await.unwrap() == all[..100]);
        assert!(setup.store.get_range(&path, 0..200_000).await.unwrap() == all[..200_000]);
        let ranges = setup.store.get_ranges(&path, &[0..100_000, 150_000..300_000]).await.unwrap();
        assert!(ranges[0] == all[..100_000] && ranges[1] == all[150_000..]);
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("it waits for no request");
    setup.inner.be_silent(false);
    for waiting in waiting {
        waiting.await.unwrap();
    }
    assert!(setup.inner.take_asked().len() >= WAITING);
}

#[test]
fn it_needs_no_runtime_and_works_in_any() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let setup = Setup::new();
    let all = bytes(300_000);
    runtime().block_on(setup.put_behind("a", &all));
    let read = |start: u64| {
        let (store, all) = (setup.store.clone(), all.clone());
        async move {
            let read = store.get_range(&"a".into(), start..start + 1000).await.unwrap();
            assert!(read == all[start as usize..start as usize + 1000]);
        }
    };
    // Without one, by polling alone.
    let waker = std::task::Waker::noop();
    let mut future = pin!(read(0));
    while future.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
        std::thread::sleep(Duration::from_millis(1));
    }
    runtime().block_on(read(100_000));
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    threads.block_on(read(200_000));
    // The runtime that has begun a read may end before it does.
    setup.inner.delay(Duration::from_millis(50));
    let ended = runtime();
    let reading = ended.spawn(read(250_000));
    ended.block_on(async { tokio::time::sleep(Duration::from_millis(10)).await });
    drop(ended);
    drop(reading);
    runtime().block_on(read(250_000));
}

#[tokio::test]
async fn a_read_that_is_given_up_harms_nobody() {
    let setup = Setup::new();
    let all = bytes(2 << 20);
    setup.put_behind("a", &all).await;
    setup.inner.delay(Duration::from_millis(30));
    for round in 0..20u64 {
        let start = round * 100_000;
        let path = "a".into();
        let given_up = setup.store.get_range(&path, start..start + 5_000);
        assert!(tokio::time::timeout(Duration::from_millis(round), given_up).await.is_err() || round > 0);
        let read = setup.store.get_range(&"a".into(), start..start + 5_000).await.unwrap();
        assert!(read == all[start as usize..start as usize + 5_000]);
    }
}
