//! What goes when the limit is reached: extents of pages that nobody has used for long, of all objects.
//!
//! ```text
//! roster: all pairs, by what they take ─► a few extents, at random ─► candidates ─► the stalest goes
//!                                                 stamps, in each index ▲
//! uses, in each process ─► folded about once a second ──────────────────┘
//! ```
//!
//! What belongs together is one use: `recent_uses`.

mod candidates;
mod deletion;
mod evictor;
mod extent;
mod give_back;
mod hollow;
mod obstacles;
mod prune;
mod recent_uses;
pub(super) mod roster;
#[cfg(test)]
mod simulation;
mod stamp;

pub use self::evictor::WhenFull;
pub(crate) use self::evictor::{Evictor, Stock};
pub(crate) use self::prune::{EVICTION_PATIENCE, others_are_at_work};
pub(crate) use self::recent_uses::{RecentUses, Use, length_of_use};
pub(crate) use self::stamp::{PERIODS, Period, Stamp};
