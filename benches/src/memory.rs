//! Where what is read goes to.

use memmap2::MmapMut;

/// `len` zeros that begin with a page of the system, and all of which have been written to once.
///
/// What a copy costs depends on where it goes: where the destination is 1 to 31 bytes above the source, but for a
/// multiple of 4,096, some processors take two to fourteen times as long for `rep movsb`, with which the kernel and the
/// C library copy. Memory from an allocator lies here in one run and there in the next; all that is compared is to have
/// the same, and the best.
///
/// # Panics
///
/// If `len` is 0 or the system has no more memory.
///
/// # Examples
///
/// ```
/// let mut memory = svf_benches::page_aligned(10);
/// assert_eq!(memory[..], [0; 10]);
/// assert_eq!(memory.as_ptr().addr() % 4096, 0);
/// ```
#[must_use]
#[expect(clippy::expect_used, reason = "a benchmark without memory has no result")]
pub fn page_aligned(len: usize) -> MmapMut {
    let mut memory = MmapMut::map_anon(len).expect("there is memory for a benchmark");
    memory.fill(0);
    memory
}
