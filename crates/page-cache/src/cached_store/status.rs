//! Where the bytes of a result come from.

/// Whether the cache had what was asked for; among the [extensions](object_store::GetResult::extensions) of each
/// result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// All of it was held when the read began, and the store below was asked for none of it.
    Hit,
    /// At least a part was not, and is fetched from the store below, and kept if the disk lets it.
    Miss,
    /// The store below answered, and nothing is kept: the object is not to be cached, or cannot be.
    Bypass,
}
