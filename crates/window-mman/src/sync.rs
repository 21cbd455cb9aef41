//! What threads meet in, from one place, so that a model checker's types can take the place of these: the tests
//! compile `slot` and `pool` a second time, over another module of this name.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

pub(crate) use parking_lot::{Mutex, MutexGuard};

/// The process that runs this. Compared before a lock is taken that a parent may have left locked.
pub(crate) fn process_id() -> u32 {
    super::sys::process_id()
}
