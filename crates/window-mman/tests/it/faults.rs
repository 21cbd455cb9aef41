//! Files that are cut short, and disks that fail, under those who read: an error, and never a signal.
//!
//! What a handler of SIGBUS means for the rest of a program is tested by a program: `tests/processes.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use window_mman::{CopyError, CopyMapping, MapManager, MappedFile, ReadError};

use crate::common::{PAGE, Random, Scene, byte, stable};

/// Somebody truncates and writes a file again and again, while eight threads read it in every safe way.
#[test]
fn a_file_is_truncated_under_eight_readers() {
    const LEN: u64 = 64 * PAGE;
    let scene = Scene::with(LEN, |builder| builder.max_mapped_bytes(16 * PAGE));
    let writer = File::options().read(true).write(true).open(scene.path()).unwrap();
    let (done, faults, good) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    // Odd while the file is not whole; and how many bytes that are not zero were read of one that was.
    let (turn, whole) = (AtomicU64::new(0), AtomicU64::new(0));
    let files: Vec<_> = (0..8).map(|_| scene.open()).collect();
    std::thread::scope(|scope| {
        let read = |(thread, file): (u64, MappedFile)| {
            let (writer, done, faults, good, turn, whole) = (&writer, &done, &faults, &good, &turn, &whole);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                let mapping = CopyMapping::new(writer, 0..LEN).unwrap();
                // Promised, and the promise is broken below: so it is only ever copied out of.
                let promised = stable(&file);
                let mut out = vec![0; 3 * PAGE as usize];
                while !done.load(Ordering::Relaxed) {
                    let start = random.below(LEN);
                    let most = if random.below(2) == 0 { 100 } else { 3 * PAGE };
                    let size = random.below(most).min(LEN - start);
                    let out = &mut out[..size as usize];
                    let before = turn.load(Ordering::SeqCst);
                    let result = match random.below(4) {
                        0 => mapping.try_copy_to(start, out).map_err(|_| ()),
                        1 => file.copy_view(start..start + size).unwrap().try_copy_to(0, out).map_err(|_| ()),
                        2 => file.read_at(out, start).map(|_| ()).map_err(|error| {
                            let of_a_truncation =
                                matches!(error, ReadError::Truncated { .. } | ReadError::Short { .. });
                            assert!(of_a_truncation, "{error:?}");
                        }),
                        _ => match promised.view(start..start + size) {
                            Ok(view) => view.try_copy_to(0, out).map_err(|_| ()),
                            Err(_) => Err(()),
                        },
                    };
                    let undisturbed = before.is_multiple_of(2) && turn.load(Ordering::SeqCst) == before;
                    match result {
                        Ok(()) if undisturbed => {
                            let right = |(found, offset): (&u8, u64)| *found == byte(1, offset);
                            assert!(out.iter().zip(start..).all(right), "nobody has truncated it");
                            whole.fetch_add(out.iter().filter(|byte| **byte != 0).count() as u64, Ordering::Relaxed);
                        }
                        Err(()) if undisturbed => panic!("an error without a truncation"),
                        Ok(()) => {
                            let right = |(found, offset): (&u8, u64)| *found == byte(1, offset) || *found == 0;
                            assert!(out.iter().zip(start..).all(right));
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(()) => {
                            faults.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    let _ = mapping.try_load_u64(start / 8 * 8);
                }
            })
        };
        let readers: Vec<_> = (1..).zip(files).map(read).collect();
        let all_read = || !readers.iter().any(std::thread::ScopedJoinHandle::is_finished);
        let end = Instant::now() + Duration::from_secs(2);
        let mut random = Random::new(99);
        let few = |count: &AtomicU64, few| count.load(Ordering::Relaxed) < few;
        let enough = || Instant::now() > end && !few(&faults, 1_000) && !few(&good, 1_000) && !few(&whole, 100_000);
        while all_read() && !enough() {
            turn.fetch_add(1, Ordering::SeqCst);
            writer.set_len(random.below(LEN)).unwrap();
            std::thread::yield_now();
            writer.write_all_at(&scene.content, 0).unwrap();
            turn.fetch_add(1, Ordering::SeqCst);
            // Until somebody has read some of it.
            let read = whole.load(Ordering::Relaxed);
            while whole.load(Ordering::Relaxed) == read && all_read() {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_fault_names_the_file_and_the_range() {
    let scene = Scene::new(10 * PAGE);
    let view = stable(&scene.open()).view(0..10 * PAGE).unwrap();
    let copies = scene.open().copy_view(PAGE..10 * PAGE).unwrap();
    File::options().write(true).open(scene.path()).unwrap().set_len(2 * PAGE).unwrap();
    let mut out = [0; 100];
    view.try_copy_to(PAGE as usize, &mut out).unwrap();
    assert_eq!(out, scene.content[PAGE as usize..][..100]);
    copies.try_copy_to(0, &mut out).unwrap();
    assert_eq!(out, scene.content[PAGE as usize..][..100]);
    for error in [
        view.try_copy_to(5 * PAGE as usize, &mut out).unwrap_err(),
        copies.try_copy_to(4 * PAGE, &mut out).unwrap_err(),
    ] {
        assert!(matches!(&error, CopyError::Fault { range, .. } if *range == (5 * PAGE..5 * PAGE + 100)), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("file\"") && message.contains("20480..20580"), "{message}");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::UnexpectedEof);
    }
    // A read by the descriptor notices a truncation within a page, too, which a mapping shows as zeros.
    File::options().write(true).open(scene.path()).unwrap().set_len(50).unwrap();
    let error = scene.manager.open(scene.path()).unwrap().read_exact_at(&mut out, 0).unwrap_err();
    assert!(matches!(error, ReadError::EndsPastEnd { .. }));
    copies.try_copy_to(0, &mut out).unwrap_err();
}

#[test]
fn bytes_outside_of_what_is_mapped_are_refused() {
    let scene = Scene::new(10 * PAGE);
    let file = File::open(scene.path()).unwrap();
    let view = scene.stable().view(100..200).unwrap();
    let copies = scene.open().copy_view(100..200).unwrap();
    let mapping = CopyMapping::new(&file, PAGE..PAGE + 100).unwrap();
    assert_eq!((copies.len(), mapping.len(), copies.range()), (100, 100, 100..200));
    for (offset, len) in [(100, 1), (99, 2), (0, 101), (u64::MAX, 1), (1 << 40, 0)] {
        let out = &mut vec![0; len];
        assert!(matches!(view.try_copy_to(offset as usize, out), Err(CopyError::OutOfBounds { .. })));
        assert!(matches!(copies.try_copy_to(offset, out), Err(CopyError::OutOfBounds { .. })));
        assert!(matches!(mapping.try_copy_to(offset, out), Err(CopyError::OutOfBounds { .. })));
    }
    view.try_copy_to(100, &mut []).unwrap();
    copies.try_copy_to(100, &mut []).unwrap();
    assert!(matches!(mapping.try_load_u64(4), Err(CopyError::Misaligned { offset: 4, size: 8 })));
    assert!(matches!(mapping.try_load_u32(2), Err(CopyError::Misaligned { .. })));
    assert!(matches!(mapping.try_load_u64(96), Err(CopyError::OutOfBounds { .. })));
    let word = &scene.content[PAGE as usize + 8..][..8];
    assert_eq!(mapping.try_load_u64(8).unwrap(), u64::from_ne_bytes(word.try_into().unwrap()));
    assert_eq!(mapping.try_load_u32(8).unwrap(), u32::from_ne_bytes(word[..4].try_into().unwrap()));

    for range in [5..10, PAGE..PAGE, std::ops::Range { start: PAGE, end: 0 }, 0..u64::MAX] {
        assert_eq!(CopyMapping::new(&file, range).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
    let directory = File::open(scene.directory.path()).unwrap();
    // A device can be mapped, and whatever it does when it is looked at is its own business.
    for special in [directory, File::open("/dev/zero").unwrap()] {
        let error = CopyMapping::new(&special, 0..PAGE).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("only regular files"), "{error}");
    }
    // Beyond the end: an error until the file is that long.
    let beyond = CopyMapping::new(&file, 0..20 * PAGE).unwrap();
    assert!(beyond.try_load_u64(15 * PAGE).is_err());
    File::options().write(true).open(scene.path()).unwrap().set_len(20 * PAGE).unwrap();
    assert_eq!(beyond.try_load_u64(15 * PAGE).unwrap(), 0);
}

#[test]
fn without_recovery_copies_are_read() {
    let scene = Scene::with(10 * PAGE, |builder| builder.fault_recovery(false));
    let view = stable(&scene.open()).view(0..10 * PAGE).unwrap();
    let file = scene.open();
    let mut out = [0; 100];
    view.try_copy_to(7, &mut out).unwrap();
    assert_eq!(out, scene.content[7..107]);
    File::options().write(true).open(scene.path()).unwrap().set_len(PAGE).unwrap();
    assert!(matches!(view.try_copy_to(5 * PAGE as usize, &mut out), Err(CopyError::Fault { .. })));
    assert!(matches!(view.try_copy_to(PAGE as usize - 50, &mut out), Err(CopyError::Fault { .. })), "no zeros");
    drop(file);
}

/// A file system on an image of which the end is cut off, as a disk that loses sectors. Needs root and loop devices;
/// where there are none this says so and passes, unless `WINDOW_MMAN_MUST_MOUNT` is set, as it is where root runs all
/// checks.
#[test]
fn a_disk_that_fails_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
    std::fs::create_dir(&mount).unwrap();
    let Some(_mounted) = Mounted::new(&image, &mount) else {
        assert!(std::env::var_os("WINDOW_MMAN_MUST_MOUNT").is_none(), "no file system can be mounted here");
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    const LEN: u64 = 24 << 20;
    let path = mount.join("file");
    let content: Vec<u8> = (0..LEN).map(|offset| byte(7, offset)).collect();
    std::fs::write(&path, &content).unwrap();
    assert!(Command::new("sync").arg("-f").arg(&path).status().unwrap().success());
    let manager = MapManager::new();
    let file = manager.open(&path).unwrap();
    let copies = file.copy_view(0..LEN).unwrap();
    let view = stable(&file).view(0..LEN).unwrap();
    // What is in memory already would hide the disk.
    let forget = |file: &File| rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    forget(&File::open(&path).unwrap());
    File::options().write(true).open(&image).unwrap().set_len(12 << 20).unwrap();
    forget(&File::open(&image).unwrap());

    let mut out = vec![0; 64 << 10];
    let (mut failed, mut right) = (0, 0);
    for start in (0..LEN).step_by(out.len()) {
        let results = [
            copies.try_copy_to(start, &mut out).is_ok().then(|| out == content[start as usize..][..out.len()]),
            view.try_copy_to(start as usize, &mut out).is_ok().then(|| out == content[start as usize..][..out.len()]),
            file.read_exact_at(&mut out, start).is_ok().then(|| out == content[start as usize..][..out.len()]),
        ];
        assert!(!results.contains(&Some(false)), "{start}: wrong bytes");
        failed += results.iter().filter(|result| result.is_none()).count();
        right += results.iter().filter(|result| result.is_some()).count();
    }
    assert!(failed > 30 && right > 30, "{failed} failed, {right} right");
}

/// An ext4 file system on a loop device, unmounted by drop.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(image: &Path, mount: &'a Path) -> Option<Self> {
        File::create(image).unwrap().set_len(48 << 20).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        (done(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(image))
            && done(Command::new("mount").args(["-o", "loop,noatime"]).arg(image).arg(mount)))
        .then_some(Self(mount))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
