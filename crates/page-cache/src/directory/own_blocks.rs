//! What the directories themselves take of the disk: a block for each few dozen names, which on ext4 never comes back,
//! however few names are left.
//!
//! It is charged ahead: what a directory will take for the next names is charged before they are made. Part of it is in
//! the fixed charge of every cache; the rest stands in control, and in what is charged.

use std::io;
use std::ops::RangeInclusive;

use super::budget::{Budget, Section};
use super::files::Files;
use super::pair::Room;

/// For how many blocks to come is charged: more than those who make pairs at the same moment could need.
const AHEAD: u64 = 4;
/// So much of it is in the fixed charge already, in bytes; the rest of that is for control and the tag.
const INCLUDED: u64 = 48 << 10;

/// What has to be charged for the directories beyond the fixed charge, in bytes, and what is charged for the next
/// names.
fn charges(files: &Files) -> io::Result<RangeInclusive<u64>> {
    let mut taken = 0u64;
    for directory in [files.root.clone(), files.heads(), files.pairs(), files.aside()] {
        taken = taken.saturating_add(files.disk.size(&directory)?.allocated);
    }
    let beyond = |bytes: u64| bytes.saturating_sub(INCLUDED);
    Ok(beyond(taken)..=beyond(taken.saturating_add(AHEAD.saturating_mul(files.file_system.unit))))
}

/// What a recount counts for the directories beyond the fixed charge, in bytes: no more than was charged, if that
/// suffices.
pub(crate) fn count(files: &Files, budget: &Budget) -> io::Result<u64> {
    let charges = charges(files)?;
    Ok(budget.control().directories().clamp(*charges.start(), *charges.end()))
}

/// Charges what the directories take now, and will for the next names, as far as that has not been done; false if there
/// is no room for it.
pub(crate) fn reserve_growth(
    files: &Files,
    budget: &Budget,
    section: &Section<'_>,
    room: &dyn Room,
) -> io::Result<bool> {
    loop {
        let (charged, owed) = (budget.control().directories(), *charges(files)?.end());
        let Some(more) = owed.checked_sub(charged).filter(|&more| more > 0) else { return Ok(true) };
        if !room.reserve(section, more) {
            return Ok(false);
        }
        if budget.control().raise_directories(charged, owed) {
            return Ok(true);
        }
        // Somebody else has just charged it.
        section.uncharge(more);
    }
}
