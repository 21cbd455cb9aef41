//! What is charged beyond the blocks that somebody asks for, in bytes.

/// What a page costs beyond its blocks, in bytes: its share of the tree in which a file system keeps extents.
pub(crate) const PAGE_OVERHEAD: u64 = 64;

/// What a directory costs before there is anything in it, in bytes: control, tag, the directories.
pub(crate) const DIRECTORY_CHARGE: u64 = 64 << 10;

/// What a pair costs beyond the head of its index, in bytes, where the file system allocates by such units: the head of
/// its key, the one that takes its place, and the first block of extents of each file.
pub(crate) fn pair_overhead(unit: u64) -> u64 {
    unit.saturating_mul(4).max(16 << 10)
}
