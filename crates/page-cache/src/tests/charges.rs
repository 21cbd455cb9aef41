//! What is charged while a disk fails is what stands in the files.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use super::memory_origin::{MemoryOrigin, pattern};
use super::{full, open};
use crate::sync::Mutex;
use crate::sys::FileSystemKind;
use crate::sys::failing::{FailingDisk, Operation};

/// A block of the index for each mark, a page and its share of the extents for each word: whichever operation of a
/// fill fails.
#[test]
fn a_fill_that_fails_is_charged_no_more_than_what_it_leaves() {
    for kind in [FileSystemKind::Local, FileSystemKind::Memory] {
        let (mut failing, mut steps) = (0, 1);
        while failing < steps {
            let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
            disk.pretend(kind);
            let bytes = pattern(20_000, 13);
            let cache = open(directory.path(), &disk).unwrap();
            let file = cache.file(MemoryOrigin::new("a", bytes.clone())).unwrap();
            let before = cache.usage().charged;
            let count = Arc::new(Mutex::new(0));
            let counter = Arc::clone(&count);
            disk.fail(move |_, _| {
                let mut count = counter.lock();
                *count += 1;
                (*count == failing + 1).then(full)
            });
            assert!(file.bytes(4096..12_288).unwrap() == bytes[4096..12_288]);
            disk.fail(|_, _| None);
            steps = *count.lock();

            let mut indexes = directory.path().join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
            let index = indexes.find(|path| path.to_string_lossy().ends_with(".index")).unwrap();
            let content = std::fs::read(&index).unwrap();
            let marked = u64::from(content[8192].count_ones());
            let words = content[16_384..].chunks(8).filter(|word| word.iter().any(|&byte| byte != 0)).count() as u64;
            let charged = cache.usage().charged - before;
            assert_eq!(charged, marked * 4096 + words * (4096 + 64), "{kind:?}, failing: {failing}");
            assert_eq!(index.metadata().unwrap().blocks() * 512, (3 + marked) * 4096, "{kind:?}, failing: {failing}");
            failing += 1;
        }
        assert!(failing >= 2, "only {failing} operations were seen");
    }
}

/// On a disk that is full the store would be a signal, and end the process.
#[test]
fn a_block_whose_mark_is_wrong_is_not_stored_to_if_it_cannot_be_allocated() {
    for failing_from in 0..2 {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        let bytes = pattern(8 << 20, 13);
        let origin = MemoryOrigin::new("a", bytes.clone());
        let file = open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap();
        let mut indexes = directory.path().join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let index = indexes.find(|path| path.to_string_lossy().ends_with(".index")).unwrap();
        let edited = std::fs::File::options().write(true).open(&index).unwrap();
        // The block of stamps, and the second one of words.
        edited.write_all_at(&[0b101], 8192).unwrap();
        let taken = || index.metadata().unwrap().blocks();
        let before = taken();
        let mut allocations = 0;
        disk.fail(move |operation, _| {
            allocations += u64::from(operation == Operation::Allocate);
            (operation == Operation::Allocate && allocations > failing_from).then(full)
        });
        let wanted = 3 << 20..(3 << 20) + 4096;
        assert!(file.bytes(wanted.clone()).unwrap() == bytes[wanted.start as usize..wanted.end as usize]);
        assert_eq!(taken(), before + failing_from * 4096 / 512);
        disk.fail(|_, _| None);
        file.bytes(wanted.clone()).unwrap();
        assert!(file.held().contains(wanted));
        assert_eq!(taken(), before + 2 * 4096 / 512);
    }
}
