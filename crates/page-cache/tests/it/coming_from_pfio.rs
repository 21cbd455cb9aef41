//! What users of pfio's sparse file cache have, each under the name that they know.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use bytes::Bytes;
use page_cache::{
    Cache, FnOrigin, LocalFile, Origin, OriginError, ReadError, SeekOrigin, Stat, TransferError, Validators,
};
use svf_core::{NeedOptions, SparseVirtualFile};

const PAGE: u64 = 4096;

fn version(tag: &str) -> Validators {
    Validators { version: Some(tag.to_owned()), ..Validators::default() }
}

/// `CachedWrapper`: fixed pages, a short last page, a page larger than the file; a second opener adopts the page size.
#[test]
fn cached_wrapper_fixed_pages() {
    let directory = tempfile::tempdir().unwrap();
    for (page_size, len) in [(4096, 10_000), (65_536, 100_000), (16 << 20, 100_000), (64 << 20, 1), (4096, 0)] {
        let bytes = pattern(len, 1);
        let origin = MemoryOrigin::new(&format!("{page_size} {len}"), bytes.clone());
        let open = |page_size| Cache::builder(directory.path()).page_size(page_size).open().unwrap();
        let file = open(page_size).file(origin.clone()).unwrap();
        assert_eq!(file.bytes(0..u64::MAX).unwrap(), bytes);
        assert_eq!(file.held().num_bytes(), len as u64);
        let other = open(if page_size == 4096 { 8192 } else { 4096 }).file(origin.clone()).unwrap();
        assert_eq!(other.page_size(), Some(page_size), "the pair's own");
        assert_eq!(other.bytes(0..u64::MAX).unwrap(), bytes);
        assert_eq!(file.stats().origin_bytes + other.stats().origin_bytes, len as u64);
    }
}

/// `DynamicCachedWrapper`: byte-exact ranges are `svf-core`'s, in memory; on disk there are no holes below 4 KiB. Both
/// over one origin.
#[test]
fn dynamic_cached_wrapper_exact_ranges_in_memory_and_pages_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(100_000, 2);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let stat = origin.stat().unwrap();

    let exact = SparseVirtualFile::new(origin.key());
    for range in [5_000..5_010, 5_005..5_020] {
        let read = exact.read_through(range.clone(), &NeedOptions::new(), |missing| origin.read(missing, &stat));
        assert_eq!(read.unwrap(), bytes[range.start as usize..range.end as usize]);
    }
    assert_eq!(origin.take_reads(), [5_000..5_010, 5_010..5_020], "to the byte");

    let paged = Cache::builder(directory.path()).page_size(PAGE).open().unwrap().file(origin.clone()).unwrap();
    for range in [5_000..5_010, 5_005..5_020] {
        assert_eq!(paged.bytes(range.clone()).unwrap(), bytes[range.start as usize..range.end as usize]);
    }
    assert_eq!(origin.take_reads(), [4_096..8_192], "the page around it, once");
}

/// `read`, `seek`, `tell`, `readinto`, `readall`, `close`, and a ZIP on top.
#[test]
fn file_object_interface() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(50_000, 3);
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(MemoryOrigin::new("a", bytes.clone())).unwrap();
    let mut reader = file.reader();
    reader.seek(SeekFrom::Start(40_000)).unwrap();
    let mut into = [0; 100];
    reader.read_exact(&mut into).unwrap();
    assert_eq!((into[..].to_vec(), reader.stream_position().unwrap()), (bytes[40_000..40_100].to_vec(), 40_100));
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert_eq!(all, bytes[40_100..]);
    assert_eq!(reader.read(&mut into).unwrap(), 0, "reading at the end gives nothing, and does not start over");
    drop(reader);
}

/// Any seekable file object as the origin: `Read + Seek`, a closure, a path.
#[test]
fn any_seekable_file_object_as_origin() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(50_000, 4);
    let path = directory.path().join("file");
    std::fs::write(&path, &bytes).unwrap();
    let cache = Cache::builder(directory.path().join("cache")).page_size(PAGE).open().unwrap();
    let closure = {
        let bytes = Bytes::from(bytes.clone());
        move |range: std::ops::Range<u64>| Ok(bytes.slice(range.start as usize..range.end as usize))
    };
    let stat = Stat { length: 50_000, validators: version("1") };
    let files = [
        cache.file(LocalFile::new(&path).unwrap()).unwrap(),
        cache.file(SeekOrigin::new("file", version("1"), File::open(&path).unwrap()).unwrap()).unwrap(),
        cache.file(SeekOrigin::new("cursor", version("1"), Cursor::new(bytes.clone())).unwrap()).unwrap(),
        cache.file(FnOrigin::new("closure", stat, closure)).unwrap(),
    ];
    for file in files {
        std::thread::scope(|scope| {
            for start in [0, 10_000, 49_999] {
                let (file, bytes) = (&file, &bytes);
                scope.spawn(move || assert!(file.bytes(start..u64::MAX).unwrap() == bytes[start as usize..]));
            }
        });
        assert!(file.held().contains(0..50_000), "{}", file.key());
        assert_eq!(file.stats().origin_bytes, 50_000);
    }
    // Another version under the same key is another object.
    let other = SeekOrigin::new("cursor", version("2"), Cursor::new(pattern(60_000, 5))).unwrap();
    assert!(cache.file(other).unwrap().held().is_empty() || cache.entry("cursor").is_some());
}

/// `close_on_close`: the origin is dropped with the last handle, unless it is shared.
#[test]
fn close_on_close_is_ownership() {
    struct Noticing(Cursor<Vec<u8>>, Arc<AtomicBool>);
    impl Read for Noticing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(out)
        }
    }
    impl Seek for Noticing {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    impl Drop for Noticing {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let origin = |key: &str| {
        SeekOrigin::new(key, version("1"), Noticing(Cursor::new(vec![1; 100]), Arc::clone(&closed))).unwrap()
    };
    let file = cache.file(origin("owned")).unwrap();
    let clone = file.clone();
    drop(file);
    assert_eq!((clone.bytes(0..3).unwrap(), closed.load(Ordering::SeqCst)), (Bytes::from_static(&[1; 3]), false));
    drop(clone);
    assert!(closed.swap(false, Ordering::SeqCst));
    let shared = Arc::new(origin("shared"));
    drop(cache.file(Arc::clone(&shared)).unwrap());
    assert!(!closed.load(Ordering::SeqCst));
}

/// `preserve(dest)` keeps the index and the holes: what was exported can be imported, and nothing else can.
#[test]
fn preserve_is_export_and_import() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(10 << 20, 6);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let open = |name: &str, page_size| {
        let cache = Cache::builder(directory.path().join(name)).page_size(page_size).open().unwrap();
        cache.file(origin.clone()).unwrap()
    };
    let file = open("one", PAGE);
    for start in [0, 5 << 20, (10 << 20) - 10] {
        file.bytes(start..start + 20_000).unwrap();
    }
    let out = directory.path().join("out");
    let exported = file.export(&out).unwrap();
    assert_eq!(exported, file.held());
    let metadata = out.metadata().unwrap();
    assert_eq!(metadata.len(), 10 << 20);
    assert!(metadata.blocks() * 512 < 100_000, "holes stay holes: {} blocks", metadata.blocks());
    let copy = std::fs::read(&out).unwrap();
    assert!(
        exported
            .iter()
            .all(|range| copy[range.start as usize..range.end as usize]
                == bytes[range.start as usize..range.end as usize])
    );
    assert!(matches!(file.export(&out), Err(TransferError::Io { .. })), "nothing is replaced");

    // A page that was damaged on the way is passed over; holes that were filled with zeros are not taken for data.
    let mut copy = copy;
    copy[4096] ^= 1;
    std::fs::write(&out, copy).unwrap();
    origin.take_reads();
    for (name, page_size) in [("two", PAGE), ("three", 8192)] {
        let other = open(name, page_size);
        let imported = other.import(&out).unwrap();
        assert_eq!(imported, other.held());
        assert!(!imported.contains(4096..8192) && imported.contains(8192..16_384), "{imported:?}");
        assert_eq!(other.bytes(8192..16_384).unwrap(), bytes[8192..16_384]);
        assert_eq!(origin.take_reads(), []);
        assert_eq!(other.bytes(0..8192).unwrap(), bytes[..8192]);
        assert!(!origin.take_reads().is_empty());
        assert_eq!(other.import(&out).unwrap().num_bytes(), 0, "it is all held");
    }
    origin.set(pattern(10 << 20, 7), "\"2\"");
    assert!(matches!(open("four", PAGE).import(&out), Err(TransferError::OtherObject { .. })));
    std::fs::remove_file(directory.path().join("out.svf-pages")).unwrap();
    assert!(open("two", PAGE).import(&out).is_err());
    std::fs::write(directory.path().join("out.svf-pages"), b"nonsense").unwrap();
    assert!(matches!(open("two", PAGE).import(&out), Err(TransferError::NotExported { .. })));
}

/// Frozen: what is held is read, and nobody is asked.
#[test]
fn frozen_is_offline() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(50_000, 8);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let online = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    online.file(origin.clone()).unwrap().bytes(0..10_000).unwrap();
    drop(online);
    let asked = (origin.take_reads(), origin.stats()).1;
    let offline =
        Cache::builder(directory.path()).freshness(page_cache::Freshness::Always).offline(true).open().unwrap();
    let file = offline.file(origin.clone()).unwrap();
    assert_eq!(file.bytes(0..10_000).unwrap(), bytes[..10_000]);
    let error = file.bytes(0..20_000).unwrap_err();
    assert!(matches!(&error, ReadError::Origin(OriginError::Offline { .. })), "{error}");
    assert!(error.to_string().contains("12288..20000") || error.to_string().contains("12288..20480"), "{error}");
    let unknown = offline.file(MemoryOrigin::new("b", vec![])).unwrap_err();
    assert!(matches!(&unknown, OriginError::Offline { .. }), "{unknown}");
    assert_eq!((origin.take_reads(), origin.stats()), (vec![], asked), "nobody was asked");
}

/// `cachedir`: the convention of the desktop. The variables are a process's, so it is a process that looks.
#[test]
fn cachedir_is_xdg_cache_home() {
    if child::is_child() {
        return look_at_cache_home();
    }
    let run = |variables: &[(&str, &str)]| {
        let mut command = child::command(cachedir_is_xdg_cache_home);
        command.env_remove("XDG_CACHE_HOME").env_remove("HOME").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    run(&[("XDG_CACHE_HOME", &path("xdg")), ("HOME", &path("home")), ("EXPECTED", &path("xdg/svf"))]);
    run(&[("HOME", &path("home")), ("EXPECTED", &path("home/.cache/svf"))]);
    run(&[("XDG_CACHE_HOME", "relative"), ("HOME", &path("home")), ("EXPECTED", &path("home/.cache/svf"))]);
    run(&[("EXPECTED", "")]);
}

fn look_at_cache_home() {
    let expected = std::env::var_os("EXPECTED").unwrap();
    match Cache::builder_in_cache_home("svf") {
        Some(builder) => assert_eq!(builder.open().unwrap().dir(), std::path::Path::new(&expected)),
        None => assert!(expected.is_empty()),
    }
}

/// `MPCachedWrapper` and `multithread_safe`: any process that opens the directory, always.
#[test]
fn mp_cached_wrapper_is_any_process() {
    if child::is_child() {
        return read_in_threads();
    }
    let directory = tempfile::tempdir().unwrap();
    let (path, cache) = (directory.path().join("file"), directory.path().join("cache"));
    std::fs::write(&path, pattern(300_000, 9)).unwrap();
    let read = |thread: u64| {
        let mut child = child::command(mp_cached_wrapper_is_any_process);
        child.env("FILE", &path).env("CACHE", &cache).env("SEED", thread.to_string()).spawn().unwrap()
    };
    let children: Vec<_> = (0..3).map(read).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let file = Cache::builder(&cache).open().unwrap().file(LocalFile::new(&path).unwrap()).unwrap();
    assert!(file.held().contains(0..300_000));
}

fn read_in_threads() {
    let path = std::env::var_os("FILE").unwrap();
    let (bytes, seed) = (pattern(300_000, 9), std::env::var("SEED").unwrap().parse::<u64>().unwrap());
    let cache = Cache::builder(std::env::var_os("CACHE").unwrap()).page_size(PAGE).open().unwrap();
    let file = cache.file(LocalFile::new(path).unwrap()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, bytes) = (&file, &bytes);
            scope.spawn(move || {
                for step in 0..200 {
                    let start = (step * 7_919 + seed * 1_000 + thread * 77) % 299_000;
                    assert!(file.bytes(start..start + 1_000).unwrap() == bytes[start as usize..start as usize + 1_000]);
                }
                assert!(file.bytes(0..300_000).unwrap() == *bytes);
            });
        }
    });
}
