//! `Reader` against a `Cursor` over the same bytes.

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Advice, Cache, Reader, RetryPolicy};
use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Read(usize),
    Seek(SeekFrom),
    FillAndConsume(usize),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..12_000).prop_map(Step::Read),
        2 => (0u64..40_000).prop_map(|offset| Step::Seek(SeekFrom::Start(offset))),
        1 => (-40_000i64..40_000).prop_map(|by| Step::Seek(SeekFrom::Current(by))),
        1 => (-40_000i64..1_000).prop_map(|by| Step::Seek(SeekFrom::End(by))),
        2 => (0usize..5_000).prop_map(Step::FillAndConsume),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn reads_and_seeks_as_a_cursor_does(len in 0usize..30_000, stored in any::<bool>(), steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let bytes = pattern(len, 1);
        let origin = MemoryOrigin::new("a", bytes.clone());
        if !stored {
            origin.set_validators(Default::default());
        }
        let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
        let mut reader = cache.file(origin).unwrap().reader();
        let mut cursor = Cursor::new(bytes);
        for step in steps {
            match step {
                Step::Read(count) => {
                    let mut read = vec![0; count];
                    let mut expected = vec![0; count];
                    let got = reader.read(&mut read).unwrap();
                    prop_assert_eq!(got == 0, cursor.read(&mut expected[..got.max(1).min(count)]).unwrap() == 0);
                    prop_assert_eq!(&read[..got], &expected[..got]);
                }
                Step::Seek(to) => prop_assert_eq!(reader.seek(to).ok(), cursor.seek(to).ok()),
                Step::FillAndConsume(count) => {
                    let expected = cursor.fill_buf().unwrap();
                    let buffered = reader.fill_buf().unwrap();
                    prop_assert_eq!(buffered.is_empty(), expected.is_empty());
                    prop_assert_eq!(buffered, &expected[..buffered.len()]);
                    let count = count.min(buffered.len());
                    reader.consume(count);
                    cursor.consume(count);
                }
            }
            prop_assert_eq!(reader.stream_position().unwrap(), cursor.position());
        }
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        let mut expected = Vec::new();
        cursor.read_to_end(&mut expected).unwrap();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn small_reads_cost_one_request_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(10_000, 2));
    let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    file.advise(0..file.len(), Advice::Random);
    let (mut reader, mut byte) = (file.reader(), [0]);
    while reader.read(&mut byte).unwrap() == 1 {}
    assert_eq!(origin.take_reads(), [0..4_096, 4_096..8_192, 8_192..10_000]);
}

#[test]
fn a_position_before_the_start_is_an_error_that_moves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
    let mut reader = cache.file(MemoryOrigin::new("a", pattern(100, 3))).unwrap().reader();
    reader.seek(SeekFrom::Start(7)).unwrap();
    assert!(reader.seek(SeekFrom::Current(-8)).is_err());
    assert!(reader.seek(SeekFrom::End(i64::MIN)).is_err());
    assert_eq!(reader.stream_position().unwrap(), 7);
    assert_eq!(reader.seek(SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
    assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
    assert!(reader.seek(SeekFrom::Current(1)).is_err());
}

#[test]
fn a_failed_read_leaves_the_position_and_can_be_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(10_000, 4);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = Cache::builder(directory.path()).page_size(4096).retry(RetryPolicy::never()).open().unwrap();
    let mut reader = cache.file(origin.clone()).unwrap().reader();
    reader.seek(SeekFrom::Start(5_000)).unwrap();
    origin.fail(true);
    let error = reader.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::HostUnreachable);
    assert!(error.to_string().contains("memory:a"), "{error}");
    origin.fail(false);
    let mut read = [0; 10];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes[5_000..5_010]);
}

#[test]
fn a_seek_costs_no_page_and_reading_on_reads_ahead() {
    const PAGE: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(2 * PAGE, 5);
    let cache = Cache::builder(directory.path()).page_size(PAGE as u64).open().unwrap();
    let file = cache.file(MemoryOrigin::new("a", bytes.clone())).unwrap();
    // Twice: the second time by what the first one stored, and checks it.
    for _ in 0..2 {
        assert_eq!(file.bytes(0..file.len()).unwrap(), bytes);
    }
    let mut reader = file.reader();
    let mut out = [0; 8];
    // What is read ahead cannot be seen in the bytes, but in how often the file is read.
    let hits = |reader: &Reader| reader.file().stats().hits;
    let before = hits(&reader);
    for offset in [PAGE + 1, 17, 2 * PAGE - 8, 1_000_000] {
        reader.seek(SeekFrom::Start(offset as u64)).unwrap();
        reader.read_exact(&mut out).unwrap();
        assert_eq!(out, bytes[offset..offset + 8]);
        reader.seek(SeekFrom::Start(offset as u64)).unwrap();
        assert_eq!(reader.fill_buf().unwrap().len(), (8 << 10).min(2 * PAGE - offset));
    }
    assert_eq!(hits(&reader) - before, 8);
    reader.seek(SeekFrom::Start(5)).unwrap();
    let mut lengths = Vec::new();
    let mut read = Vec::new();
    while reader.stream_position().unwrap() < 500_000 {
        let buffered = reader.fill_buf().unwrap();
        read.extend_from_slice(buffered);
        lengths.push(buffered.len() >> 10);
        let count = buffered.len();
        reader.consume(count);
    }
    assert_eq!(read, bytes[5..5 + read.len()]);
    assert_eq!(lengths[..5], [8, 16, 32, 64, 64]);
    assert!(lengths[5..].iter().all(|&length| length == 64));
}
