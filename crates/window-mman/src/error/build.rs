//! Managers that cannot be built.

/// Why a [`MapManager`](crate::MapManager) could not be built.
///
/// # Examples
///
/// ```
/// use window_mman::{BuildError, MapManager};
///
/// let refused = MapManager::builder().max_mapped_bytes(1).build();
/// assert!(matches!(refused, Err(BuildError::LimitBelowWindow { limit: 1, .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A window size of 0 was asked for.
    #[error("the window size is 0 bytes: ask for at least 1, or for none to have the default")]
    WindowIsEmpty,
    /// A window would be longer than a slice can be.
    #[error(
        "the window size of {requested} bytes is too large: \
         no slice is longer than {largest} bytes, and whole pages must fit in"
    )]
    WindowTooLarge {
        /// The size asked for, in bytes.
        requested: u64,
        /// What no window can exceed, in bytes.
        largest: u64,
    },
    /// Not one window could be mapped.
    #[error(
        "the limit of {limit} mapped bytes is less than one window of {window_size}: \
         raise `max_mapped_bytes`, or ask for a smaller `window_size`"
    )]
    LimitBelowWindow {
        /// The limit asked for, in bytes.
        limit: u64,
        /// The window size, rounded up to whole pages, in bytes.
        window_size: u64,
    },
    /// Not one region could be mapped, or not one file opened.
    #[error("`{limit}` is 0: ask for at least 1, or for none to have the default")]
    LimitIsZero {
        /// The name of the limit.
        limit: &'static str,
    },
}
