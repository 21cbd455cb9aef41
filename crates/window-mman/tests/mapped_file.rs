//! Opening and copying reads.

#![expect(clippy::unwrap_used, reason = "what sets up a test may panic as the test may")]

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::Range;

use window_mman::{Error, FileKind, MapManager, OpenError, ReadError};

fn scene(contents: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, contents).unwrap();
    (directory, path)
}

#[test]
fn read_at_is_short_only_at_the_end() {
    let (_directory, path) = scene(b"0123456789");
    let file = MapManager::new().open(&path).unwrap();
    assert_eq!(file.len(), 10);
    assert!(!file.is_empty());
    assert_eq!(file.path(), Some(path.as_path()));

    let mut buffer = [b'x'; 4];
    assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 4);
    assert_eq!(&buffer, b"3456");
    assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 2);
    assert_eq!(&buffer, b"8956");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 5).unwrap(), 0);
    for offset in [11, u64::MAX] {
        let error = file.read_at(&mut buffer, offset).unwrap_err();
        assert!(matches!(error, ReadError::StartsPastEnd { len: 10, .. }), "{error:?}");
        assert!(file.read_at(&mut [], offset).is_err());
    }
    assert_eq!(&buffer, b"8956", "errors in the range touch nothing");
}

#[test]
fn read_exact_at_is_all_or_an_error() {
    let (_directory, path) = scene(b"0123456789");
    let file = MapManager::new().open(&path).unwrap();
    let mut buffer = [b'x'; 4];
    file.read_exact_at(&mut buffer, 6).unwrap();
    assert_eq!(&buffer, b"6789");
    let error = file.read_exact_at(&mut buffer, 7).unwrap_err();
    assert!(matches!(error, ReadError::EndsPastEnd { offset: 7, wanted: 4, len: 10, .. }), "{error:?}");
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::UnexpectedEof);
    assert_eq!(&buffer, b"6789");
    file.read_exact_at(&mut [], 10).unwrap();
    assert!(file.read_exact_at(&mut [], 11).is_err());
    assert!(file.read_exact_at(&mut buffer, u64::MAX).is_err());
}

#[test]
fn read_clips_and_refuses_like_views() {
    let (_directory, path) = scene(b"0123456789");
    let file = MapManager::new().open(&path).unwrap();
    assert_eq!(file.bytes(2..5).unwrap(), &b"234"[..]);
    assert_eq!(file.bytes(8..u64::MAX).unwrap(), &b"89"[..]);
    assert_eq!(file.bytes(10..20).unwrap(), &b""[..]);
    assert_eq!(file.bytes(4..4).unwrap(), &b""[..]);
    assert!(matches!(file.bytes(11..12), Err(ReadError::StartsPastEnd { .. })));
    let error = file.bytes(Range { start: 5, end: 2 }).unwrap_err();
    assert!(matches!(error, ReadError::Reversed { .. }), "{error:?}");
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_empty_file_is_readable_and_empty() {
    let (_directory, path) = scene(b"");
    let file = MapManager::new().open(path).unwrap();
    assert!(file.is_empty());
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap(), 0);
    assert_eq!(file.bytes(0..100).unwrap(), &b""[..]);
    assert!(file.read_exact_at(&mut [0], 0).is_err());
}

#[test]
fn a_file_truncated_since_is_an_error_and_never_zeros() {
    let (_directory, path) = scene(&[7; 10_000]);
    let file = MapManager::new().open(&path).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    writer.set_len(4000).unwrap();

    let mut buffer = [0; 100];
    assert_eq!(file.read_at(&mut buffer, 3900).unwrap(), 100);
    assert_eq!(buffer, [7; 100], "what is there can be read");
    for (offset, range) in [(3950, 3950..4050), (4000, 4000..4100), (9990, 9990..10_000)] {
        let error = file.read_at(&mut buffer, offset).unwrap_err();
        let ReadError::Truncated { range: told, opened_with: 10_000, now: 4000, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*told, range);
        let message = error.to_string();
        for part in ["10000", "4000", "file\"", "open it again"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(file.read_exact_at(&mut buffer, 3950).is_err());
    assert!(file.bytes(0..10_000).is_err());
    assert_eq!(file.read_at(&mut buffer, 10_000).unwrap(), 0);
    assert_eq!(file.len(), 10_000, "as remembered");
}

#[test]
fn a_file_that_has_grown_reads_as_it_was() {
    let (_directory, path) = scene(b"0123456789");
    let manager = MapManager::new();
    let file = manager.open(&path).unwrap();
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"abc").unwrap();
    assert_eq!(file.bytes(5..100).unwrap(), &b"56789"[..]);
    let again = manager.open(&path).unwrap();
    assert_eq!(again.bytes(5..100).unwrap(), &b"56789abc"[..]);
    assert_eq!(file.len(), 10);
}

#[test]
fn a_file_handed_over_needs_no_name_and_keeps_its_position() {
    let (_directory, path) = scene(b"0123456789");
    let given = File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let manager = MapManager::new();
    let file = manager.open_file(given.try_clone().unwrap()).unwrap();
    assert_eq!(file.path(), None);
    assert_eq!(file.bytes(2..4).unwrap(), &b"23"[..]);
    assert_eq!(std::io::Seek::stream_position(&mut &given).unwrap(), 0);
    let error = file.bytes(11..12).unwrap_err().to_string();
    assert!(error.contains("without a path"), "{error}");
}

#[test]
fn open_files_are_counted_by_file() {
    let (_directory, path) = scene(b"0123456789");
    let manager = MapManager::default();
    let open = |files, descriptors| {
        let stats = manager.stats();
        assert_eq!((stats.open_files, stats.descriptors), (files, descriptors));
    };
    open(0, 0);
    let a = manager.open(&path).unwrap();
    let b = manager.clone().open(&path).unwrap();
    let clone = a.clone();
    open(1, 1);
    let given = manager.open_file(File::open(&path).unwrap()).unwrap();
    open(1, 2);
    drop(a);
    drop(given);
    open(1, 1);
    drop(clone);
    assert!(manager.open(path.join("nothing")).is_err());
    open(1, 1);
    drop(b);
    open(0, 0);
}

#[test]
fn a_missing_file_is_named() {
    let (directory, _path) = scene(b"");
    let path = directory.path().join("not\nhere");
    let error = MapManager::new().open(path).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(r"not\nhere"), "escaped, on one line: {message}");
    assert!(message.contains("no such file"), "{message}");
    let error = std::io::Error::from(Error::from(error));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Error>() && inner.source().is_some()));
}

#[test]
fn a_directory_is_refused_by_path_and_by_file() {
    let directory = tempfile::tempdir().unwrap();
    let manager = MapManager::new();
    let error = manager.open(directory.path()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, OpenError::NotRegular { kind: FileKind::Directory, path: Some(_) }), "{message}");
    for part in [directory.path().to_str().unwrap(), "a directory", "open a file inside"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::IsADirectory);
    #[cfg(unix)]
    assert!(matches!(manager.open_file(File::open(directory.path()).unwrap()), Err(OpenError::NotRegular { .. })));
    assert_eq!(manager.stats().open_files, 0);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_fifo_is_refused_without_waiting_or_waking_its_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (send, receive) = std::sync::mpsc::channel();
        let there = path.clone();
        std::thread::spawn(move || send.send(MapManager::new().open(there)));
        let result = receive.recv_timeout(std::time::Duration::from_secs(20)).expect("opening a FIFO must not wait");
        let error = result.unwrap_err();
        assert!(matches!(error, OpenError::NotRegular { kind: FileKind::Fifo, .. }));
        let message = error.to_string();
        assert!(message.contains("a FIFO") && message.contains("fifo\""), "{message}");

        let given = File::options().read(true).write(true).open(&path).unwrap();
        assert!(matches!(
            MapManager::new().open_file(given),
            Err(OpenError::NotRegular { kind: FileKind::Fifo, path: None })
        ));
    }

    #[test]
    fn devices_and_sockets_are_refused() {
        let kind = |path: &std::path::Path| match MapManager::new().open(path) {
            Err(OpenError::NotRegular { kind, .. }) => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(std::path::Path::new("/dev/null")), FileKind::CharacterDevice);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(kind(&path), FileKind::Socket);
    }

    /// Files of the system that say they are a page long, and are not.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_of_the_system_with_an_untrue_length_says_so() {
        let path = "/sys/devices/system/cpu/online";
        let Ok(contents) = std::fs::read(path) else { return };
        let file = MapManager::new().open(path).unwrap();
        if contents.len() as u64 == file.len() {
            return;
        }
        let error = file.bytes(0..u64::MAX).unwrap_err();
        let ReadError::Short { given, len, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*given, *len), (contents.len() as u64, file.len()));
        assert_eq!(file.bytes(0..*given).unwrap(), contents);
    }

    /// The system gives no mapping of it that is shared and only read.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_of_the_system_that_may_not_be_mapped_is_read() {
        let path = "/sys/kernel/btf/vmlinux";
        let Ok(contents) = std::fs::read(path) else { return };
        let file = MapManager::new().open(path).unwrap();
        for start in [0, contents.len() - 100] {
            let view = file.copy_view(start as u64..start as u64 + 100).unwrap();
            let mut out = [0; 100];
            view.try_copy_to(0, &mut out).unwrap();
            assert_eq!(out, contents[start..start + 100]);
        }
    }

    /// Windows are smaller than huge pages: what is mapped of such a file cannot be unmapped in windows.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_of_huge_pages_is_read() {
        use std::os::fd::FromRawFd;
        const LEN: u64 = 8 << 20;
        // SAFETY: the name is a string, and the descriptor is nobody else's.
        let file = unsafe {
            let descriptor = libc::memfd_create(c"huge".as_ptr(), libc::MFD_HUGETLB);
            if descriptor < 0 {
                eprintln!("skipped: the system has no files of huge pages");
                return;
            }
            File::from_raw_fd(descriptor)
        };
        file.set_len(LEN).unwrap();
        let given = MapManager::new().open_file(file.try_clone().unwrap()).unwrap();
        for start in [0, 1 << 20, 3 << 20, (1 << 20) - 5] {
            let view = given.copy_view(start..start + 10).unwrap();
            let mut out = [1; 10];
            view.try_copy_to(0, &mut out).unwrap();
            assert_eq!(out, [0; 10], "nothing was written yet");
        }
        drop(given);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains("memfd:huge"), "left mapped: {maps}");
        let error = window_mman::CopyMapping::new(&file, 0..4096).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_at_the_opening() {
        let (_directory, path) = scene(b"0123456789");
        let manager = MapManager::new();
        let given = File::options().write(true).open(&path).unwrap();
        let error = manager.open_file(given).unwrap_err();
        assert!(matches!(error, OpenError::NotReadable), "{error:?}");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::PermissionDenied);
        // Opened for its path only (O_PATH on Linux), which reads nothing either.
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            let given = File::options().read(true).custom_flags(0o10_000_000).open(&path).unwrap();
            let error = manager.open_file(given).unwrap_err();
            assert!(matches!(error, OpenError::NotReadable), "{error:?}");
        }
        assert_eq!(manager.stats().open_files, 0);
    }

    #[test]
    fn a_file_can_be_read_by_many_threads() {
        let contents: Vec<u8> = (0..100_000_u32).map(|i| (i / 3) as u8).collect();
        let (_directory, path) = scene(&contents);
        let file = MapManager::new().open(path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (file, contents) = (file.clone(), &contents);
                scope.spawn(move || {
                    let mut buffer = [0; 777];
                    for offset in (thread..99_000).step_by(1234) {
                        file.read_exact_at(&mut buffer, offset as u64).unwrap();
                        assert_eq!(buffer, contents[offset..offset + 777]);
                    }
                });
            }
        });
    }
}
