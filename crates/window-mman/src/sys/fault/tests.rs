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

/// Lengths below and above all that the routines make a difference of.
fn lengths() -> impl Iterator<Item = usize> {
    (0..420).chain([511, 512, 1000, 2040, 2047, 2048, 2049, 4095, 4096])
}

#[test]
fn every_length_is_copied_wherever_it_lies_and_nothing_else() {
    copies_every_length(copy);
}

/// As on a processor that has no others.
#[cfg(target_arch = "x86_64")]
#[test]
fn moves_of_sixteen_bytes_copy_every_length() {
    /// # Safety
    ///
    /// As for `supported::copy`, and nothing is read that is not there: the handler may not be installed.
    unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), Fault> {
        // SAFETY: as the caller says.
        match unsafe { routine::window_mman_0_1_copy(to, from, len) } {
            0 => Ok(()),
            _ => Err(Fault),
        }
    }
    copies_every_length(copy);
}

/// `copy` may be any that asks for no more than `supported::copy`, of memory that is there.
fn copies_every_length(copy: unsafe fn(*mut u8, *const u8, usize) -> Result<(), Fault>) {
    let from: Vec<u8> = (0..5000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut memory = vec![0xEE; 5000];
    for len in lengths() {
        for (shift, place) in [0, 1, 7].into_iter().flat_map(|shift| (16..81).map(move |place| (shift, place))) {
            let to = &mut memory[..place + len + 64];
            // SAFETY: both are vectors that are long enough.
            unsafe { copy(to[place..].as_mut_ptr(), from[shift..].as_ptr(), len) }.unwrap();
            assert_eq!(to[place..place + len], from[shift..shift + len]);
            to[place..place + len].fill(0xEE);
            assert!(to.iter().all(|byte| *byte == 0xEE), "{len} from {shift} to {place}");
        }
    }
}

#[test]
fn a_copy_out_of_nothing_is_an_error_wherever_the_fault_is() {
    let map = cut_short();
    let mut to = vec![0; 3 * PAGE];
    for len in lengths().filter(|len| *len > 0) {
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

/// Also where both ends are there, and what is between them is not.
#[test]
fn a_copy_out_of_what_has_a_hole_is_an_error() {
    let (mut map, empty) = (memmap2::MmapMut::map_anon(3 * PAGE).unwrap(), tempfile::tempfile().unwrap());
    map.fill(7);
    let hole = map[PAGE..].as_mut_ptr();
    // SAFETY: over a page of a mapping that is this test's own, and that only the routines read.
    let mapped = unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        libc::mmap(hole.cast(), PAGE, libc::PROT_READ, flags, std::os::fd::AsRawFd::as_raw_fd(&empty), 0)
    };
    assert_eq!(mapped, hole.cast());
    let mut to = vec![0; 3 * PAGE];
    for (start, len) in (0..200).map(|start| (start, 3 * PAGE - 2 * start)) {
        // SAFETY: the mapping is three pages long, and lives.
        assert_eq!(unsafe { copy(to.as_mut_ptr(), map.as_ptr().add(start), len) }, Err(Fault), "{start}");
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
