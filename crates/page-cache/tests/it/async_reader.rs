//! `AsyncReader` against a `Cursor` over the same bytes, and what it asks of the origin and of the runtime.

use std::future::Future;
use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use page_cache::{AsyncReader, Cache, CachedFile, RetryPolicy};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt};

use crate::memory_origin::{MemoryOrigin, pattern};
use crate::reader::{Step, steps};

const PAGE: u64 = 4096;

struct Scene {
    origin: MemoryOrigin,
    bytes: Vec<u8>,
    file: CachedFile,
    _directory: TempDir,
}

fn scene(len: usize) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(len, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = Cache::builder(directory.path()).page_size(PAGE).retry(RetryPolicy::never()).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    Scene { origin, bytes, file, _directory: directory }
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn position(reader: &mut AsyncReader) -> u64 {
    reader.stream_position().await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn reads_and_seeks_as_a_cursor_does(len in 0usize..30_000, stored in any::<bool>(), steps in steps()) {
        let scene = scene(len);
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).page_size(PAGE).retry(RetryPolicy::never()).open().unwrap();
        if !stored {
            scene.origin.set_validators(Default::default());
        }
        let mut reader = cache.file(scene.origin.clone()).unwrap().async_reader();
        let mut cursor = Cursor::new(scene.bytes);
        on_a_runtime(async move {
            for step in steps {
                match step {
                    Step::Read(count) => {
                        let mut read = vec![0; count];
                        let mut expected = vec![0; count];
                        let got = reader.read(&mut read).await.unwrap();
                        let expected_got = Read::read(&mut cursor, &mut expected[..got.max(1).min(count)]).unwrap();
                        prop_assert_eq!(got, expected_got);
                        prop_assert_eq!(&read[..got], &expected[..got]);
                    }
                    Step::Seek(to) => prop_assert_eq!(reader.seek(to).await.ok(), Seek::seek(&mut cursor, to).ok()),
                    Step::FillAndConsume(count) => {
                        let expected = BufRead::fill_buf(&mut cursor).unwrap();
                        let buffered = reader.fill_buf().await.unwrap();
                        prop_assert_eq!(buffered.is_empty(), expected.is_empty());
                        prop_assert_eq!(buffered, &expected[..buffered.len()]);
                        let count = count.min(buffered.len());
                        reader.consume(count);
                        BufRead::consume(&mut cursor, count);
                    }
                }
                prop_assert_eq!(position(&mut reader).await, cursor.position());
            }
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).await.unwrap();
            let mut expected = Vec::new();
            Read::read_to_end(&mut cursor, &mut expected).unwrap();
            prop_assert_eq!(rest, expected);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn small_reads_cost_one_request_a_page_and_a_large_one_costs_one() {
    let scene = scene(10_000);
    let mut reader = scene.file.async_reader();
    let mut byte = [0];
    while reader.read(&mut byte).await.unwrap() == 1 {}
    assert_eq!(scene.origin.take_reads(), [0..4_096, 4_096..8_192, 8_192..10_000]);

    let scene = self::scene(5_000_000);
    let mut reader = scene.file.async_reader();
    let mut all = vec![0; 5_000_000];
    for expected in [vec![0..5_000_000], vec![]] {
        reader.rewind().await.unwrap();
        reader.read_exact(&mut all).await.unwrap();
        assert!(all == scene.bytes);
        assert_eq!(scene.origin.take_reads(), expected);
    }
}

#[tokio::test]
async fn a_position_before_the_start_is_an_error_that_moves_nothing() {
    let mut reader = scene(100).file.async_reader();
    reader.seek(SeekFrom::Start(7)).await.unwrap();
    assert!(reader.seek(SeekFrom::Current(-8)).await.is_err());
    assert!(reader.seek(SeekFrom::End(i64::MIN)).await.is_err());
    assert_eq!(position(&mut reader).await, 7);
    assert_eq!(reader.seek(SeekFrom::Start(u64::MAX)).await.unwrap(), u64::MAX);
    assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0);
    assert!(reader.fill_buf().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_read_leaves_the_position_and_can_be_tried_again() {
    let scene = scene(10_000);
    let mut reader = scene.file.async_reader();
    reader.seek(SeekFrom::Start(5_000)).await.unwrap();
    scene.origin.fail(true);
    let error = reader.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::HostUnreachable);
    assert!(error.to_string().contains("memory:a"), "{error}");
    assert_eq!(position(&mut reader).await, 5_000);
    scene.origin.fail(false);
    let mut read = [0; 10];
    reader.read_exact(&mut read).await.unwrap();
    assert_eq!(read, scene.bytes[5_000..5_010]);
}

#[test]
fn what_is_held_is_ready_at_once_and_all_else_never_blocks() {
    let scene = scene(20_000);
    let mut context = Context::from_waker(Waker::noop());
    let mut reader = scene.file.async_reader();
    let mut out = [0; 100];
    // So long that a poll that waited for it would be seen; there is no runtime either.
    scene.origin.delay(Duration::from_secs(2));
    let begun = std::time::Instant::now();
    assert!(pin!(reader.read(&mut out)).poll(&mut context).is_pending());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    scene.origin.delay(Duration::ZERO);
    let mut read = pin!(reader.read(&mut out));
    while read.as_mut().poll(&mut context).is_pending() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(out, scene.bytes[..100]);
    // One that others have read, and so this process has checked.
    scene.file.bytes(8_192..12_288).unwrap();
    scene.origin.take_reads();
    let mut reader = scene.file.async_reader();
    let Poll::Ready(Ok(8_200)) = pin!(reader.seek(SeekFrom::Start(8_200))).poll(&mut context) else { panic!("ready") };
    let Poll::Ready(Ok(100)) = pin!(reader.read(&mut out)).poll(&mut context) else { panic!("it is held") };
    assert_eq!(out, scene.bytes[8_200..8_300]);
    assert_eq!(scene.origin.take_reads(), []);
}

#[tokio::test]
async fn a_read_that_is_given_up_is_gone_on_with() {
    let scene = scene(300_000);
    let mut reader = scene.file.async_reader();
    scene.origin.delay(Duration::from_millis(200));
    let mut out = vec![0; 10_000];
    for start in [100u64, 50_000] {
        reader.seek(SeekFrom::Start(start)).await.unwrap();
        tokio::time::timeout(Duration::from_millis(1), reader.read(&mut out)).await.unwrap_err();
        assert_eq!(position(&mut reader).await, start);
        let read = reader.read(&mut out).await.unwrap();
        assert!(read > 0 && out[..read] == scene.bytes[start as usize..][..read]);
        assert_eq!(scene.origin.take_reads().len(), 1, "from {start}");
    }
    // And one after which another place is read, or nothing more at all.
    reader.seek(SeekFrom::Start(100_000)).await.unwrap();
    tokio::time::timeout(Duration::from_millis(1), reader.read(&mut out)).await.unwrap_err();
    let mut other = reader.clone();
    reader.seek(SeekFrom::Start(200_000)).await.unwrap();
    assert_eq!(position(&mut other).await, 100_000);
    for (reader, start) in [(&mut reader, 200_000), (&mut other, 100_000)] {
        let read = reader.read(&mut out).await.unwrap();
        assert!(read > 0 && out[..read] == scene.bytes[start..][..read], "{start}");
    }
    assert_eq!(scene.origin.take_reads().len(), 2);
    reader.seek(SeekFrom::Start(250_000)).await.unwrap();
    tokio::time::timeout(Duration::from_millis(1), reader.read(&mut out)).await.unwrap_err();
    drop(reader);
}

#[test]
fn a_long_read_of_what_is_held_lets_other_tasks_have_their_turn() {
    let scene = scene(32 << 20);
    // Twice: the second time by what the first one stored, and checks it.
    for _ in 0..2 {
        assert!(scene.file.bytes(0..scene.file.len()).unwrap() == scene.bytes);
    }
    let (turns, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, until) = (Arc::clone(&turns), Arc::clone(&ended));
    let mut reader = scene.file.async_reader();
    let all = on_a_runtime(async move {
        let other = tokio::spawn(async move {
            while !until.load(Ordering::SeqCst) {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        let all = tokio::spawn(async move {
            let mut all = vec![0; 32 << 20];
            reader.read_exact(&mut all).await.unwrap();
            ended.store(true, Ordering::SeqCst);
            all
        });
        other.await.unwrap();
        all.await.unwrap()
    });
    assert!(all == scene.bytes);
    // One turn is the other task's before this one begins.
    assert!(turns.load(Ordering::SeqCst) >= 3, "{turns:?}");
}
