//! The routines, on memory that is there and on memory that is not.

#![expect(unsafe_code, reason = "the routines take pointers")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::fs::File;

use super::*;

const PAGE: usize = 4096;

/// A mapping of which only the first page is left.
fn cut_short() -> memmap2::Mmap {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![7; 3 * PAGE], 0).unwrap();
    // SAFETY: what is cut off is only read by the routines.
    let map = unsafe { memmap2::MmapOptions::new().len(3 * PAGE).map(&file) }.unwrap();
    File::set_len(&file, PAGE as u64).unwrap();
    map
}

#[test]
fn every_length_is_copied_and_nothing_else() {
    let from: Vec<u8> = (0..5000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
    for len in (0..300).chain([511, 512, 1000, 2040, 2047, 2048, 2049, 4096, 4999]) {
        for shift in [0, 1, 7] {
            let len = len.min(from.len() - shift);
            let mut to = vec![0xEE; len + 32];
            // SAFETY: both are vectors that are long enough.
            unsafe { copy(to[16..].as_mut_ptr(), from[shift..].as_ptr(), len) }.unwrap();
            assert_eq!(to[16..16 + len], from[shift..shift + len]);
            assert!(to[..16].iter().chain(&to[16 + len..]).all(|byte| *byte == 0xEE), "{len}");
        }
    }
}

#[test]
fn a_copy_out_of_nothing_is_an_error_wherever_the_fault_is() {
    let map = cut_short();
    let mut to = vec![0; 3 * PAGE];
    for len in [1, 2, 3, 4, 7, 8, 15, 16, 64, 127, 128, 1000, 2048, PAGE] {
        let mut copy = |start: usize| {
            // SAFETY: the mapping is three pages long, and lives.
            unsafe { copy(to.as_mut_ptr(), map.as_ptr().add(start), len) }
        };
        assert_eq!(copy(0), Ok(()));
        assert_eq!(copy(PAGE - len), Ok(()));
        assert_eq!(copy(PAGE), Err(Fault), "{len}");
        assert_eq!(copy(2 * PAGE - len), Err(Fault), "{len}");
        if len > 1 {
            assert_eq!(copy(PAGE - len / 2), Err(Fault), "its end is not there: {len}");
        }
    }
}

#[test]
fn words_are_loaded_or_an_error() {
    let map = cut_short();
    // SAFETY: aligned places in a mapping that lives.
    unsafe {
        assert_eq!(load_u64(map.as_ptr().add(PAGE - 8)), Ok(0x0707_0707_0707_0707));
        assert_eq!(load_u32(map.as_ptr().add(PAGE - 4)), Ok(0x0707_0707));
        assert_eq!(load_u64(map.as_ptr().add(PAGE)), Err(Fault));
        assert_eq!(load_u32(map.as_ptr().add(PAGE)), Err(Fault));
    }
}
