//! The map of what is held of a file, as text.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};
use svf::page_cache::Entry;
use svf::svf_core::RangeSet;

use crate::entries::{Object, percent};
use crate::printable::printable;

const COLUMNS: u64 = 64;
const MAX_ROWS: u64 = 8;
/// More ranges than this are only counted: the picture shows where they are.
const MAX_RANGES: usize = 16;

/// A file as a few rows of cells: `#` held, `+` held in part, `.` not held.
#[derive(Debug)]
pub(crate) struct HeldMap<'a> {
    entry: &'a Entry,
}

impl<'a> HeldMap<'a> {
    pub(crate) fn new(entry: &'a Entry) -> Self {
        Self { entry }
    }

    /// How many bytes a cell stands for: whole pages, and few enough cells for a screen.
    fn cell_size(&self) -> u64 {
        let pages = self.entry.stat.length.div_ceil(self.entry.page_size);
        pages.div_ceil(COLUMNS * MAX_ROWS).max(1).saturating_mul(self.entry.page_size)
    }
}

impl Serialize for HeldMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Object::of(self.entry).with_ranges(&self.entry.held).serialize(serializer)
    }
}

impl fmt::Display for HeldMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { key, stat, page_size, held, .. } = self.entry;
        let (length, held_bytes) = (stat.length, held.num_bytes());
        writeln!(f, "{}", printable(key))?;
        let share = percent(held_bytes, length);
        writeln!(f, "{held_bytes} of {length} bytes are held ({share}), in pages of {page_size} bytes")?;

        let cell = self.cell_size();
        let mut start = 0;
        while start < length {
            let row = start..start.saturating_add(cell.saturating_mul(COLUMNS)).min(length);
            write!(f, "{:>16}  ", row.start)?;
            while start < row.end {
                let end = start.saturating_add(cell).min(length);
                write!(f, "{}", symbol(held, start..end))?;
                start = end;
            }
            writeln!(f)?;
        }
        writeln!(f, "each character is {cell} bytes: # held, + in part, . not held")?;

        for range in held.iter().take(MAX_RANGES) {
            writeln!(f, "  {}-{}  {} bytes", range.start, range.end - 1, range.end - range.start)?;
        }
        match held.num_ranges().saturating_sub(MAX_RANGES) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} ranges more"),
        }
    }
}

fn symbol(held: &RangeSet, cell: Range<u64>) -> char {
    if held.contains(cell.clone()) {
        '#'
    } else if held.intersection(cell).next().is_some() {
        '+'
    } else {
        '.'
    }
}
