//! `read_through`: each byte is fetched once, whatever goes wrong everybody hears of it, and nobody hangs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use svf_core::{
    NeedOptions, OnOverlap, ReadThroughError, SparseVirtualFile, SparseVirtualFileOptions, Version, WriteError,
};

/// The origin's byte at an offset.
fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

fn content(range: Range<u64>) -> Vec<u8> {
    range.map(byte).collect()
}

/// An origin that is always well.
fn well(range: Range<u64>) -> Result<Vec<u8>, Infallible> {
    Ok(content(range))
}

/// Pseudo-random numbers that are the same in each run.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// 32 threads read ranges of their own choosing; how often each byte was asked of the origin.
fn fetched_by_32_threads(file: &SparseVirtualFile, len: u64, longest: u64) -> Vec<u8> {
    let asked: Vec<AtomicU8> = (0..len).map(|_| AtomicU8::new(0)).collect();
    let start = Barrier::new(32);
    thread::scope(|scope| {
        for seed in 0..32 {
            let (asked, start) = (&asked, &start);
            scope.spawn(move || {
                let mut number = numbers(seed);
                start.wait();
                for _ in 0..40 {
                    let from = number(len);
                    let range = from..len.min(from + 1 + number(longest));
                    let bytes = file.read_through(range.clone(), &NeedOptions::new(), |missing| {
                        for offset in missing.clone() {
                            asked[offset as usize].fetch_add(1, Ordering::Relaxed);
                        }
                        // Long enough for others to come and want the same.
                        thread::sleep(Duration::from_micros(number(300)));
                        well(missing)
                    });
                    assert_eq!(bytes.unwrap(), content(range));
                }
            });
        }
    });
    asked.into_iter().map(AtomicU8::into_inner).collect()
}

#[test]
fn thirty_two_threads_fetch_each_byte_exactly_once() {
    for round in 0..4 {
        let file = SparseVirtualFile::new("origin");
        let asked = fetched_by_32_threads(&file, 64 << 10, 4 << round << 8);
        let held: u64 = file.blocks().iter().map(|block| block.end - block.start).sum();
        for (offset, &count) in asked.iter().enumerate() {
            let offset = offset as u64;
            assert_eq!(u64::from(count), u64::from(file.contains(offset..offset + 1)), "offset {offset}");
        }
        let stats = file.stats();
        assert_eq!((stats.bytes_fetched, stats.bytes_written, stats.reads), (held, held, 32 * 40));
        assert!(stats.waits > 0, "nobody has met anybody: the test has shown nothing");
        assert_eq!(stats.bytes_overlapping, 0);
    }
}

#[test]
fn requests_are_planned_and_end_with_the_file() {
    let file = SparseVirtualFile::with_options("f", Version::new().len(1_000), SparseVirtualFileOptions::new());
    let options = NeedOptions::new().align(64);
    let requests = Mutex::new(Vec::new());
    let fetch = |range: Range<u64>| {
        requests.lock().unwrap().push(range.clone());
        well(range)
    };
    assert_eq!(file.read_through(100..110, &options, fetch).unwrap(), content(100..110));
    assert_eq!(file.read_through(60..70, &options, fetch).unwrap(), content(60..70));
    assert_eq!(file.read_through(990..2_000, &options, fetch).unwrap(), content(990..1_000), "clipped, as in HTTP");
    assert_eq!(*requests.lock().unwrap(), [64..128, 0..64, 960..1_000]);
    let error = file.read_through(1_000..1_001, &options, fetch).unwrap_err();
    assert!(matches!(error, ReadThroughError::PastEnd { end_of_file: 1_000, .. }), "{error}");
    assert_eq!(file.read_through(5_000..5_000, &options, fetch).unwrap(), "", "an empty range needs nothing");
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let reversed = file.read_through(9..3, &options, fetch).unwrap();
    assert_eq!(reversed, "");
    assert_eq!(requests.lock().unwrap().len(), 3);
}

#[test]
fn greedy_counts_only_beyond_the_length_asked_for() {
    for (greedy, requests) in [(10, vec![0..10]), (5, vec![0..2, 4..6])] {
        let file = SparseVirtualFile::new("f");
        file.write(2, &content(2..4)).unwrap();
        let mut asked = Vec::new();
        let options = NeedOptions::new().greedy(greedy);
        let bytes = file.read_through(0..6, &options, |range| {
            asked.push(range.clone());
            well(range)
        });
        assert_eq!((bytes.unwrap(), asked), (content(0..6).into(), requests));
    }
}

#[test]
fn many_ranges_are_planned_together() {
    let file = SparseVirtualFile::new("f");
    let mut asked = Vec::new();
    let ranges = [700..710, 0..10, 5..20, 100..100, 32..40];
    let bytes = file.read_many_through(&ranges, &NeedOptions::new().max_gap(16), |range| {
        asked.push(range.clone());
        well(range)
    });
    let expected: Vec<Bytes> = ranges.iter().map(|range| content(range.clone()).into()).collect();
    assert_eq!((bytes.unwrap(), asked), (expected.clone(), vec![0..40, 700..710]));
    let again = file.read_many_through(&ranges, &NeedOptions::new(), |_| Err::<Bytes, _>("nothing is missing"));
    assert_eq!(again.unwrap(), expected);
    assert!(file.read_many_through(&[], &NeedOptions::new(), well).unwrap().is_empty());
}

#[test]
fn an_error_is_everybodys_and_the_next_call_tries_again() {
    let file = &SparseVirtualFile::new("f");
    let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "the server is away");
    let (asked, ask) = mpsc::channel();
    let errors: Vec<ReadThroughError> = thread::scope(|scope| {
        let leader = scope.spawn(|| {
            file.read_through(0..100, &NeedOptions::new(), |_| {
                asked.send(()).unwrap();
                wait_until(|| file.stats().waits == 4);
                Err::<Bytes, _>(refused())
            })
        });
        ask.recv().unwrap();
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let fetch = |_| -> Result<Bytes, Infallible> { panic!("it is being fetched") };
                scope.spawn(move || file_read(file, n * 10..n * 10 + 20, fetch))
            })
            .collect();
        std::iter::once(leader).chain(waiters).map(|thread| thread.join().unwrap().unwrap_err()).collect()
    });
    assert_eq!(errors.len(), 5);
    for error in errors {
        let ReadThroughError::Fetch { range, source } = error else { panic!("{error}") };
        assert_eq!(range, 0..100);
        assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::ConnectionRefused);
    }
    assert!(file.is_empty());
    assert_eq!(file.stats().fetches_failed, 1);
    assert_eq!(file.read_through(0..100, &NeedOptions::new(), well).unwrap(), content(0..100));
}

fn file_read<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    file: &SparseVirtualFile,
    range: Range<u64>,
    fetch: impl FnMut(Range<u64>) -> Result<Bytes, E>,
) -> Result<Bytes, ReadThroughError> {
    file.read_through(range, &NeedOptions::new(), fetch)
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// Fails the test, and does not hang it, if that never comes.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "this has never come");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn too_little_and_too_much_is_refused_and_not_kept() {
    let file = SparseVirtualFile::new("f");
    for len in [0, 9, 11, 1_000] {
        let error = file.read_through(10..20, &NeedOptions::new(), |_| Ok::<_, Infallible>(vec![1; len])).unwrap_err();
        match &error {
            ReadThroughError::Length { range, received } => assert_eq!((range, *received), (&(10..20), len as u64)),
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains("end_of_file"), "the remedy: {error}");
        assert!(file.is_empty());
    }
    assert_eq!(file.read_through(10..20, &NeedOptions::new(), well).unwrap(), content(10..20));
}

#[test]
fn what_came_before_an_error_stays() {
    let file = SparseVirtualFile::new("f");
    file.write(10, &content(10..20)).unwrap();
    let error = file.read_through(0..30, &NeedOptions::new(), |range| {
        if range.start < 10 { Ok(content(range)) } else { Err("the line broke") }
    });
    assert_eq!(chain(&error.unwrap_err()), "bytes 20..30 could not be fetched: the line broke");
    assert_eq!(file.blocks(), [0..20]);
}

#[test]
fn a_panic_reaches_its_caller_and_an_error_those_who_wait() {
    let file = SparseVirtualFile::new("f");
    let (asked, ask) = mpsc::channel();
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            catch_unwind(AssertUnwindSafe(|| {
                file_read(&file, 0..50, |_| -> Result<Bytes, Infallible> {
                    asked.send(()).unwrap();
                    wait_until(|| file.stats().waits == 1);
                    panic!("a bug in the fetch")
                })
            }))
        });
        ask.recv().unwrap();
        let error = file_read(&file, 40..60, |range| Ok::<_, Infallible>(content(range).into())).unwrap_err();
        assert!(matches!(error, ReadThroughError::Panicked { range: Range { start: 0, end: 50 } }), "{error}");
        let message = leader.join().unwrap().unwrap_err();
        assert_eq!(message.downcast_ref(), Some(&"a bug in the fetch"));
    });
    assert_eq!(file.read_through(0..60, &NeedOptions::new(), well).unwrap(), content(0..60));
}

#[test]
fn a_conflict_is_an_error_for_all_and_changes_nothing() {
    let file = SparseVirtualFile::new("f");
    file.write(4, b"old").unwrap();
    let error = file.read_through(0..16, &NeedOptions::new().align(16), well).unwrap_err();
    assert!(matches!(error, ReadThroughError::Write(WriteError::Conflict { offset: 4, .. })), "{error}");
    assert_eq!(file.blocks(), [4..7]);
    assert_eq!(file.stats().fetches_failed, 1);

    for (on_overlap, held) in [(OnOverlap::Keep, *b"old"), (OnOverlap::Replace, content(4..7).try_into().unwrap())] {
        let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().on_overlap(on_overlap));
        file.write(4, b"old").unwrap();
        let bytes = file.read_through(0..16, &NeedOptions::new().align(16).max_gap(16), well).unwrap();
        assert_eq!(bytes[4..7], held);
        assert_eq!(bytes, file.read(0..16).unwrap(), "{on_overlap:?}");
    }
}

#[test]
fn a_limit_below_the_range_is_no_hindrance() {
    let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().max_bytes(100));
    let options = NeedOptions::new().max_len(64);
    assert_eq!(file.read_through(0..10_000, &options, well).unwrap(), content(0..10_000));
    assert!(file.num_bytes() <= 100);
    let asked = fetched_by_32_threads(&file, 2_000, 500);
    assert!(asked.iter().any(|&count| 1 < count), "what was evicted is fetched again");
}

#[test]
fn a_fetch_may_use_its_file_and_others() {
    let raw = SparseVirtualFile::new("raw");
    let unpacked = SparseVirtualFile::new("unpacked");
    let bytes = unpacked.read_through(100..200, &NeedOptions::new(), |range| {
        unpacked.write(0, b"a header").unwrap();
        unpacked.read_through(10..20, &NeedOptions::new(), well).unwrap();
        raw.read_through(range.start / 2..range.end / 2, &NeedOptions::new(), well)
            .map(|half| half.iter().flat_map(|&byte| [byte, byte]).collect::<Vec<_>>())
    });
    let expected: Vec<u8> = content(50..100).into_iter().flat_map(|byte| [byte, byte]).collect();
    assert_eq!(bytes.unwrap(), expected);
    assert_eq!(unpacked.blocks(), [0..8, 10..20, 100..200]);
}

#[test]
fn a_fetch_that_reads_what_it_fetches_gets_an_error() {
    let file = SparseVirtualFile::new("f");
    let error = file.read_through(0..10, &NeedOptions::new(), |_| file.read_through(9..11, &NeedOptions::new(), well));
    let ReadThroughError::Fetch { source, .. } = error.unwrap_err() else { panic!() };
    assert!(
        matches!(source.downcast_ref(), Some(ReadThroughError::Deadlock { range: Range { start: 0, end: 10 } })),
        "{source}"
    );
    assert_eq!(file.blocks(), [10..11], "what it could fetch by itself it has");
    assert_eq!(file.read_through(0..11, &NeedOptions::new(), well).unwrap(), content(0..11));
}

#[test]
fn a_circle_of_fetches_in_two_threads_is_an_error_in_one_of_them() {
    let (one, other) = (SparseVirtualFile::new("one"), SparseVirtualFile::new("other"));
    let both_fetch = Barrier::new(2);
    let read = |first: &SparseVirtualFile, second: &SparseVirtualFile| {
        first.read_through(0..8, &NeedOptions::new(), |_| {
            both_fetch.wait();
            second.read_through(0..8, &NeedOptions::new(), well)
        })
    };
    let results = thread::scope(|scope| {
        let threads = [scope.spawn(|| read(&one, &other)), scope.spawn(|| read(&other, &one))];
        threads.map(|thread| thread.join().unwrap())
    });
    // Whoever closed the circle fails; the other one waited for it, and so fails too.
    assert!(results.iter().all(|result| matches!(result, Err(ReadThroughError::Fetch { .. }))), "{results:?}");
    let texts: Vec<String> = results.iter().map(|result| chain(result.as_ref().unwrap_err())).collect();
    assert!(texts.iter().all(|text| text.contains("waits for this fetch")), "{texts:?}");
    assert_eq!(one.read_through(0..8, &NeedOptions::new(), well).unwrap(), content(0..8));
    assert_eq!(other.read_through(0..8, &NeedOptions::new(), well).unwrap(), content(0..8));
}

#[test]
fn a_chain_of_fetches_is_not_taken_for_a_circle() {
    let files: Vec<_> = (0..4).map(|n| SparseVirtualFile::new(n.to_string())).collect();
    fn read(files: &[SparseVirtualFile], range: Range<u64>) -> Result<Bytes, ReadThroughError> {
        let Some((first, rest)) = files.split_first() else {
            thread::sleep(Duration::from_micros(200));
            return Ok(content(range).into());
        };
        first.read_through(range, &NeedOptions::new(), |missing| read(rest, missing))
    }
    thread::scope(|scope| {
        for seed in 0..8 {
            let files = &files;
            scope.spawn(move || {
                let mut number = numbers(seed);
                for _ in 0..100 {
                    let (first, start) = (number(4) as usize, number(900));
                    let range = start..start + 1 + number(100);
                    assert_eq!(read(&files[first..], range.clone()).unwrap(), content(range));
                }
            });
        }
    });
}

#[test]
fn versions_are_not_mixed_by_a_reset_during_a_fetch() {
    let file = SparseVirtualFile::with_options("f", Version::new().etag("\"1\""), SparseVirtualFileOptions::new());
    file.write(0, b"first").unwrap();
    let error = file.read_through(0..10, &NeedOptions::new(), |range| {
        file.reset(Version::new().etag("\"2\""));
        well(range)
    });
    assert!(matches!(error.unwrap_err(), ReadThroughError::Changed));
    assert!(file.is_empty(), "bytes of the old version are not kept under the new one");
    assert!(file.matches_version(&Version::new().etag("\"2\"")));
    assert_eq!(file.read_through(0..10, &NeedOptions::new(), well).unwrap(), content(0..10));
}

#[test]
fn clearing_during_a_fetch_keeps_what_comes() {
    let file = SparseVirtualFile::new("f");
    file.write(0, &content(0..5)).unwrap();
    let bytes = file.read_through(0..10, &NeedOptions::new(), |range| {
        file.clear();
        well(range)
    });
    assert_eq!(bytes.unwrap(), content(0..10));
    assert_eq!(file.blocks(), [5..10]);
}

#[test]
fn scrubbed_files_read_through_as_others_do() {
    let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().scrub(true));
    file.write(5, &content(5..8)).unwrap();
    assert_eq!(file.read_through(0..3_000, &NeedOptions::new(), well).unwrap(), content(0..3_000));
}

#[test]
fn offsets_near_2_64_overflow_nothing() {
    let file = SparseVirtualFile::new("f");
    let end = u64::MAX;
    let options = NeedOptions::new().align(4_096).greedy(u64::MAX).max_len(4_096);
    let bytes = file.read_through(end - 10..end, &options, well).unwrap();
    assert_eq!(bytes, content(end - 10..end));
    assert!(file.read_through(end..end, &options, well).unwrap().is_empty());
    // More than any memory holds is asked for, and the origin says what it thinks of that.
    let error = file.read_through(0..end, &NeedOptions::new(), |_| Err::<Bytes, _>("too much")).unwrap_err();
    assert!(matches!(error, ReadThroughError::Fetch { range: Range { start: 0, .. }, .. }), "{error}");
}

/// Who reads behind a reset meets a fetch that began before it: its bytes are of the other version, and so is its
/// error.
#[test]
fn what_a_reader_behind_a_reset_gets_is_of_the_new_version() {
    for old in [Ok(vec![b'O'; 4]), Err("the old server is away")] {
        let file = SparseVirtualFile::new("f");
        let (begun, go_on) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let leader = scope.spawn(|| {
                file.read_through(0..4, &NeedOptions::new(), |_| {
                    begun.wait();
                    go_on.wait();
                    old.clone()
                })
            });
            begun.wait();
            file.reset(Version::new().etag("\"2\""));
            let reader = scope.spawn(|| file.read_through(0..4, &NeedOptions::new(), well));
            wait_until(|| file.stats().waits == 1);
            go_on.wait();
            assert!(leader.join().unwrap().is_err());
            assert_eq!(reader.join().unwrap().unwrap(), content(0..4));
        });
    }
}

#[test]
fn under_keep_the_reader_gets_what_the_file_holds() {
    let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().on_overlap(OnOverlap::Keep));
    let bytes = file.read_through(0..4, &NeedOptions::new(), |_| {
        file.write(1, b"KK").unwrap();
        Ok::<_, Infallible>(b"nnnn".to_vec())
    });
    assert_eq!(bytes.unwrap(), "nKKn");
    assert_eq!(file.read(0..4).unwrap(), "nKKn");
}

#[test]
fn under_reject_a_difference_is_found_also_in_what_was_evicted_meanwhile() {
    let file = SparseVirtualFile::new("f");
    file.write(4, b"old").unwrap();
    let error = file.read_through(0..16, &NeedOptions::new().align(16), |_| {
        file.evict_to(0);
        Ok::<_, Infallible>(vec![b'n'; 16])
    });
    let error = error.unwrap_err();
    assert!(matches!(error, ReadThroughError::Write(WriteError::Conflict { offset: 4, .. })), "{error}");
}

#[test]
fn what_somebody_else_wrote_first_is_not_asked_for_and_the_rest_is_planned_again() {
    let file = SparseVirtualFile::new("f");
    for n in 0..1_000 {
        file.write(1_000 + n * 10, &content(1_000 + n * 10..1_005 + n * 10)).unwrap();
    }
    let options = NeedOptions::new().max_gap(100).align(4_096).max_len(4_096);
    assert_eq!(file.need_requests(0..11_000, &options), [0..4_096, 4_096..8_192, 8_192..12_288]);
    let mut asked = Vec::new();
    let bytes = file.read_through(0..11_000, &options, |range| {
        if asked.is_empty() {
            // In the last of the three, and all that is missing of the second.
            file.write(9_996, &content(9_996..9_998)).unwrap();
            file.write(4_096, &content(4_096..8_192)).unwrap();
        }
        asked.push(range.clone());
        well(range)
    });
    assert_eq!(bytes.unwrap(), content(0..11_000));
    assert_eq!(asked, [0..4_096, 8_192..12_288]);
}

#[test]
fn what_another_thread_failed_to_fetch_is_asked_for_as_the_options_say() {
    let file = SparseVirtualFile::new("f");
    let (begun, go_on) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let mut other = Some(scope.spawn(|| {
            file.read_through(24..100, &NeedOptions::new(), |_| {
                begun.wait();
                go_on.wait();
                Err::<Bytes, _>("the line broke")
            })
        }));
        begun.wait();
        let mut asked = Vec::new();
        let bytes = file.read_through(0..100, &NeedOptions::new().align(16).max_len(32), |range| {
            if let Some(other) = other.take() {
                go_on.wait();
                other.join().unwrap().unwrap_err();
            }
            asked.push(range.clone());
            well(range)
        });
        assert_eq!(bytes.unwrap(), content(0..100));
        assert_eq!(asked, [0..24, 16..48, 48..80, 80..112]);
    });
}

#[test]
fn a_length_that_cannot_be_is_no_reason_to_plan_all_its_requests_first() {
    let file = SparseVirtualFile::new("f");
    let mut asked = 0;
    let result = file.read_through(0..1 << 62, &NeedOptions::new().max_len(1 << 20), |range| {
        asked += 1;
        if asked < 3 { Ok(vec![0; (range.end - range.start) as usize]) } else { Err("the file ends here") }
    });
    assert!(result.is_err());
    assert_eq!((asked, file.num_bytes()), (3, 2 << 20));
}

#[test]
fn what_is_fetched_keeps_no_larger_allocation_alive() {
    let file = SparseVirtualFile::new("f");
    let roomy = |range: Range<u64>| {
        let mut buffer = Vec::with_capacity(1 << 20);
        buffer.extend(content(range));
        Ok::<_, Infallible>(buffer)
    };
    drop(file.read_through(0..2_048, &NeedOptions::new(), roomy).unwrap());
    let bytes = file.read(0..2_048).unwrap();
    drop(file);
    assert!(bytes.try_into_mut().unwrap().capacity() < 4_096);
}

/// In each state that the file ever has, all its bytes are equal, and its length is ten times one of them.
#[test]
fn reads_are_of_one_state_of_the_file() {
    let file = SparseVirtualFile::new("f");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for state in [1, 2] {
                    file.reset(Version::new().len(state * 10));
                    file.write(0, &vec![state as u8; 10 * state as usize]).unwrap();
                }
            }
        });
        let not_held = |_| Err::<Bytes, _>("it is not held");
        let (ranges, mut held) = ([0..4, 4..8, 3..5], 0);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(300) {
            if let Ok(bytes) = file.read_through(0..20, &NeedOptions::new(), not_held) {
                assert_eq!(bytes.len(), bytes[0] as usize * 10);
                held += 1;
            }
            if let Ok(bytes) = file.read_many_through(&ranges, &NeedOptions::new(), not_held) {
                assert!(bytes.iter().flatten().all(|byte| *byte == bytes[0][0]), "{bytes:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(held > 0);
    });
}

/// Planning, claiming and waiting are linear in the number of gaps, also where another reader gets in the way of each.
#[test]
fn many_gaps_in_two_threads_at_once() {
    let file = SparseVirtualFile::new("f");
    let len = 200_000;
    for offset in (0..len).step_by(10) {
        file.write(offset, &content(offset..offset + 5)).unwrap();
    }
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(file.read_through(0..len, &NeedOptions::new(), well).unwrap(), content(0..len)));
        }
    });
    assert_eq!(file.stats().bytes_fetched, len / 2);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Readers, writers, removers and evictors at once: whatever is read is right, and everything ends.
#[test]
fn everything_at_once() {
    let file = Arc::new(SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().max_bytes(8_000)));
    let fetched = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..8 {
            let (file, fetched) = (&file, &fetched);
            scope.spawn(move || {
                let mut number = numbers(seed);
                for _ in 0..2_000 {
                    let start = number(20_000);
                    let range = start..start + 1 + number(800);
                    match number(8) {
                        0 => drop(file.remove(range)),
                        1 => drop(file.evict_to(number(8_000))),
                        2 => drop(file.write(range.start, &content(range)).unwrap()),
                        3 => {
                            if let Ok(bytes) = file.read(range.clone()) {
                                assert_eq!(bytes, content(range));
                            }
                        }
                        4 => {
                            let mut fail = number(4) == 0;
                            let bytes = file.read_through(range.clone(), &NeedOptions::new().align(64), |range| {
                                if std::mem::take(&mut fail) { Err("now and then") } else { Ok(content(range)) }
                            });
                            if let Ok(bytes) = bytes {
                                assert_eq!(bytes, content(range));
                            }
                        }
                        _ => match file.read_through(range.clone(), &NeedOptions::new().greedy(1_000), well) {
                            Ok(bytes) => {
                                fetched.fetch_add(1, Ordering::Relaxed);
                                assert_eq!(bytes, content(range));
                            }
                            Err(error) => assert!(chain(&error).contains("now and then"), "{error}"),
                        },
                    }
                }
            });
        }
    });
    assert!(fetched.into_inner() > 1_000);
    assert!(file.num_bytes() <= 8_000);
}

proptest! {
    /// Alone, whatever the options: the bytes are right, and nothing is asked for that is neither missing nor wanted
    /// by the options.
    #[test]
    fn reads_are_right_under_all_options(
        held in prop::collection::vec((0u64..300, 1u64..40), 0..12),
        reads in prop::collection::vec((0u64..300, 0u64..60), 1..6),
        greedy in 0u64..80,
        align in 1u64..40,
        max_gap in 0u64..20,
        max_len in 1u64..100,
        max_bytes in prop_oneof![2 => Just(None), 1 => (0u64..200).prop_map(Some)],
    ) {
        let mut file_options = SparseVirtualFileOptions::new();
        file_options.map.max_bytes = max_bytes;
        let file = SparseVirtualFile::with_options("f", None, file_options);
        for (start, len) in held {
            file.write(start, &content(start..start + len)).unwrap();
        }
        let options = NeedOptions::new().greedy(greedy).align(align).max_gap(max_gap).max_len(max_len).end_of_file(320);
        let ranges: Vec<_> = reads.into_iter().map(|(start, len)| start..start + len).collect();
        let planned = file.need_many(&ranges.iter().map(|range| range.start..range.end.min(320)).collect::<Vec<_>>(), &options);
        let mut asked = Vec::new();
        let bytes = file.read_many_through(&ranges, &options, |range| {
            asked.push(range.clone());
            well(range)
        }).unwrap();
        if max_bytes.is_none() {
            prop_assert_eq!(asked, planned);
        }
        for (range, bytes) in ranges.into_iter().zip(bytes) {
            prop_assert_eq!(bytes, content(range.start..range.end.min(320).max(range.start)));
        }
    }
}
