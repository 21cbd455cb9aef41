//! How a file behaves.

use crate::block_map::{BlockMapOptions, OnOverlap};

/// How a [`SparseVirtualFile`](crate::SparseVirtualFile) behaves: as a [`BlockMap`](crate::BlockMap) with these
/// options does, and whether the times of the last read and write are kept.
///
/// # Examples
///
/// ```
/// use svf_core::{OnOverlap, SparseVirtualFile, SparseVirtualFileOptions};
///
/// let options = SparseVirtualFileOptions::new().on_overlap(OnOverlap::Replace).scrub(true).times(false);
/// let file = SparseVirtualFile::with_options("keys.bin", None, options);
/// file.write(0, b"secret")?;
/// file.write(2, b"q")?; // what is replaced is wiped
/// assert_eq!(file.read(0..6)?, "seqret");
/// assert_eq!(file.stats().last_read, None);
/// # Ok::<(), svf_core::Error>(())
/// ```
#[doc(alias = "config")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct SparseVirtualFileOptions {
    /// How the bytes are held.
    pub map: BlockMapOptions,
    /// Whether [`Stats::last_read`](crate::Stats::last_read) and [`Stats::last_write`](crate::Stats::last_write) are
    /// kept, by a look at the clock for each read and write, which takes some 25 ns. The default is to keep them, where
    /// there is a clock.
    pub times: bool,
}

impl SparseVirtualFileOptions {
    /// The default: conflicting writes are rejected, nothing is wiped, there is no limit, and times are kept.
    pub const fn new() -> Self {
        let has_clock = !cfg!(all(target_family = "wasm", target_os = "unknown"));
        Self { map: BlockMapOptions::new(), times: has_clock }
    }

    /// What a write does with bytes that are held already.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn on_overlap(self, on_overlap: OnOverlap) -> Self {
        Self { map: self.map.on_overlap(on_overlap), ..self }
    }

    /// Holds the bytes in memory that is wiped before it is given back. See [`BlockMapOptions::scrub`].
    #[doc(alias = "overwrite_on_exit")]
    #[must_use = "the options are returned, not changed in place"]
    pub const fn scrub(self, scrub: bool) -> Self {
        Self { map: self.map.scrub(scrub), ..self }
    }

    /// Holds at most so many bytes. See [`BlockMapOptions::max_bytes`].
    #[must_use = "the options are returned, not changed in place"]
    pub const fn max_bytes(self, bytes: u64) -> Self {
        Self { map: self.map.max_bytes(bytes), ..self }
    }

    /// Whether the times of the last read and write are kept.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn times(self, times: bool) -> Self {
        Self { times, ..self }
    }
}

impl Default for SparseVirtualFileOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<BlockMapOptions> for SparseVirtualFileOptions {
    fn from(map: BlockMapOptions) -> Self {
        Self { map, ..Self::new() }
    }
}
