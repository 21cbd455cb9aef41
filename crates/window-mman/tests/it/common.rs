//! Files whose every byte is known.

use std::path::PathBuf;

use window_mman::{MapManager, MapManagerBuilder, MappedFile, StableFile};

pub(crate) const PAGE: u64 = 4096;

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}

/// The byte of file `seed` at `offset`.
pub(crate) fn byte(seed: u64, offset: u64) -> u8 {
    let word =
        (offset / 8 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
    ((word ^ word >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> (8 * (offset % 7))) as u8
}

pub(crate) fn content(seed: u64, len: u64) -> Vec<u8> {
    (0..len).map(|offset| byte(seed, offset)).collect()
}

/// A directory with a file of known content, and a manager with windows of four pages.
pub(crate) struct Scene {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) content: Vec<u8>,
    pub(crate) manager: MapManager,
}

impl Scene {
    pub(crate) fn new(len: u64) -> Self {
        Self::with(len, |builder| builder)
    }

    pub(crate) fn with(len: u64, options: impl FnOnce(MapManagerBuilder) -> MapManagerBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let content = content(1, len);
        std::fs::write(directory.path().join("file"), &content).unwrap();
        let manager = options(MapManager::builder().window_size(4 * PAGE)).build().unwrap();
        Self { directory, content, manager }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    pub(crate) fn open(&self) -> MappedFile {
        self.manager.open(self.path()).unwrap()
    }

    pub(crate) fn stable(&self) -> StableFile {
        stable(&self.open())
    }

    /// What is mapped, as offsets and numbers of holders.
    pub(crate) fn regions(&self) -> Vec<(u64, u64, u32)> {
        self.manager.regions().iter().map(|region| (region.range.start, region.range.end, region.holders)).collect()
    }
}

pub(crate) fn stable(file: &MappedFile) -> StableFile {
    // SAFETY: these files are in a private temporary directory, and the tests that make views do not write to them
    // below the length that was promised.
    unsafe { file.assume_stable() }
}
