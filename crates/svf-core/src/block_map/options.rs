//! What a map does with what is written to it.

/// What a write does with bytes that are held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OnOverlap {
    /// Every overlapping byte is compared; a difference is a
    /// [`WriteError::Conflict`](crate::WriteError::Conflict), and nothing has changed.
    #[default]
    #[doc(alias = "compare_for_diff")]
    Reject,
    /// Held bytes stay as they are; only what was missing is written.
    Keep,
    /// The new bytes take the place of the held ones.
    Replace,
}

/// How a [`BlockMap`](crate::BlockMap) behaves. The default rejects conflicting writes, does not wipe, and has no
/// limit.
///
/// # Examples
///
/// ```
/// use svf_core::{BlockMap, BlockMapOptions, OnOverlap};
///
/// let options = BlockMapOptions::new().on_overlap(OnOverlap::Keep).max_bytes(8);
/// let mut map = BlockMap::with_options(options);
/// map.write(0, b"oldest")?;
/// map.write(10, b"newest")?;
/// assert_eq!(map.blocks().collect::<Vec<_>>(), [10..16]);
/// assert_eq!(map.options(), options);
/// # Ok::<(), svf_core::Error>(())
/// ```
#[doc(alias = "config")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct BlockMapOptions {
    /// What a write does with bytes that are held already.
    pub on_overlap: OnOverlap,
    /// Whether the bytes are held in memory that is wiped before it is given back.
    pub scrub: bool,
    /// How many bytes are held at most.
    pub max_bytes: Option<u64>,
}

impl BlockMapOptions {
    /// The default.
    pub const fn new() -> Self {
        Self { on_overlap: OnOverlap::Reject, scrub: false, max_bytes: None }
    }

    /// What a write does with bytes that are held already.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn on_overlap(self, on_overlap: OnOverlap) -> Self {
        Self { on_overlap, ..self }
    }

    /// Holds the bytes in memory that is overwritten with zeros once neither the map nor any `Bytes` that it handed
    /// out needs it: after a removal, an eviction, a replacement, a clear and a drop alike. Every write then copies,
    /// [`write_bytes`](crate::BlockMap::write_bytes) too; what was given to it is not wiped.
    #[doc(alias = "overwrite_on_exit")]
    #[must_use = "the options are returned, not changed in place"]
    pub const fn scrub(self, scrub: bool) -> Self {
        Self { scrub, ..self }
    }

    /// Holds at most so many bytes: a write that exceeds them evicts what has not been used for longest. See
    /// [`BlockMap::evict_to`](crate::BlockMap::evict_to).
    #[must_use = "the options are returned, not changed in place"]
    pub const fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }
}

/// What a write has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Written {
    /// How many bytes were not held before and are now.
    pub new: u64,
    /// How many bytes were held already.
    pub overlapping: u64,
}
