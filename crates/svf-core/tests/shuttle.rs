//! Reading through under many schedules of its threads: `cargo xtask model shuttle`.

#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::thread;
use svf_core::{
    NeedOptions, ReadThroughError, SparseVirtualFile, SparseVirtualFileOptions, SparseVirtualFileSystem,
    SparseVirtualFileSystemOptions, Version,
};

const ROUNDS: usize = 5_000;

fn content(range: Range<u64>) -> Vec<u8> {
    range.map(|offset| offset as u8).collect()
}

/// A fetch takes a while: others run meanwhile.
fn slow(range: Range<u64>) -> Result<Vec<u8>, Infallible> {
    thread::yield_now();
    Ok(content(range))
}

#[test]
fn each_byte_is_fetched_once_in_all_schedules() {
    shuttle::check_random(
        || {
            let file = Arc::new(SparseVirtualFile::new("f"));
            let threads: Vec<_> = [0..8, 4..12, 2..6]
                .into_iter()
                .map(|range: Range<u64>| {
                    let file = Arc::clone(&file);
                    thread::spawn(move || {
                        assert_eq!(
                            file.read_through(range.clone(), &NeedOptions::new(), slow).unwrap(),
                            content(range)
                        );
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(file.stats().bytes_fetched, 12);
        },
        ROUNDS,
    );
}

#[test]
fn a_failure_reaches_who_waits_and_nobody_hangs() {
    shuttle::check_random(
        || {
            let file = Arc::new(SparseVirtualFile::new("f"));
            let failures = Arc::new(AtomicU64::new(0));
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let (file, failures) = (Arc::clone(&file), Arc::clone(&failures));
                    thread::spawn(move || {
                        let result = file.read_through(thread..thread + 3, &NeedOptions::new(), |range| {
                            thread::yield_now();
                            if range.contains(&2) && failures.fetch_add(1, Ordering::Relaxed) == 0 {
                                Err("the first who asks for this byte")
                            } else {
                                Ok(content(range))
                            }
                        });
                        match result {
                            Ok(bytes) => assert_eq!(bytes, content(thread..thread + 3)),
                            Err(error) => assert!(matches!(error, ReadThroughError::Fetch { .. }), "{error}"),
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!((1..=3).contains(&failures.load(Ordering::Relaxed)));
            assert_eq!(file.read_through(0..5, &NeedOptions::new(), slow).unwrap(), content(0..5));
        },
        ROUNDS,
    );
}

#[test]
fn circles_of_fetches_end_in_all_schedules() {
    shuttle::check_random(
        || {
            let files = [Arc::new(SparseVirtualFile::new("a")), Arc::new(SparseVirtualFile::new("b"))];
            let threads: Vec<_> = (0..2)
                .map(|thread| {
                    let files = files.clone();
                    thread::spawn(move || {
                        let (first, second) = (&files[thread], &files[1 - thread]);
                        first.read_through(0..4, &NeedOptions::new(), |_| {
                            second.read_through(0..4, &NeedOptions::new(), slow)
                        })
                    })
                })
                .collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            for result in results {
                match result {
                    Ok(bytes) => assert_eq!(bytes, content(0..4)),
                    Err(error) => assert!(format!("{error:?}").contains("Deadlock"), "{error:?}"),
                }
            }
            for file in files {
                assert_eq!(file.read_through(0..4, &NeedOptions::new(), slow).unwrap(), content(0..4));
            }
        },
        ROUNDS,
    );
}

#[test]
fn who_reads_after_a_reset_gets_nothing_of_the_version_before() {
    shuttle::check_random(
        || {
            let options = SparseVirtualFileOptions::new().max_bytes(6);
            let file = Arc::new(SparseVirtualFile::with_options("f", None, options));
            let server = Arc::new(AtomicU64::new(1));
            let fetch = |server: &Arc<AtomicU64>| {
                let server = Arc::clone(server);
                move |range: Range<u64>| {
                    let version = server.load(Ordering::SeqCst) as u8;
                    thread::yield_now();
                    Ok::<_, Infallible>(vec![version; (range.end - range.start) as usize])
                }
            };
            let before = {
                let (file, fetch) = (Arc::clone(&file), fetch(&server));
                thread::spawn(move || {
                    let result = file.read_through(0..8, &NeedOptions::new().max_len(4), fetch);
                    assert!(matches!(result, Ok(_) | Err(ReadThroughError::Changed)), "{result:?}");
                })
            };
            let after = {
                let (file, fetch) = (Arc::clone(&file), fetch(&server));
                thread::spawn(move || {
                    file.evict_to(2);
                    server.store(2, Ordering::SeqCst);
                    file.reset(Version::new().len(2));
                    for range in [0..2, 1..2] {
                        let bytes = file.read_through(range.clone(), &NeedOptions::new(), &fetch).unwrap();
                        assert_eq!(bytes, vec![2; (range.end - range.start) as usize]);
                    }
                })
            };
            before.join().unwrap();
            after.join().unwrap();
            assert!(file.num_bytes() <= 6);
        },
        ROUNDS,
    );
}

#[test]
fn the_sum_of_a_file_system_is_right_in_all_schedules() {
    shuttle::check_random(
        || {
            let files = SparseVirtualFileSystem::with_options(SparseVirtualFileSystemOptions::new().max_bytes(10));
            let files = Arc::new(files);
            let spawn = |work: fn(&SparseVirtualFileSystem)| {
                let files = Arc::clone(&files);
                thread::spawn(move || work(&files))
            };
            let threads = [
                spawn(|files| {
                    files.open("a").write(0, &[1; 6]).unwrap();
                    files.open("b").write(0, &[1; 6]).unwrap();
                }),
                spawn(|files| {
                    files.open("a").write(10, &[1; 4]).unwrap();
                    files.open("a").reset(None);
                    files.evict_to(3);
                }),
                spawn(|files| {
                    if let Some(file) = files.remove("a") {
                        file.write(20, &[1; 8]).unwrap();
                        drop(files.insert(file));
                    }
                }),
            ];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let held: u64 = files.files().iter().map(|file| file.num_bytes()).sum();
            assert_eq!(files.num_bytes(), held);
            assert!(held <= 10, "{held}");
            assert_eq!((files.evict_to(0), files.num_bytes()), (held, 0), "whatever is held can be evicted");
        },
        ROUNDS,
    );
}
