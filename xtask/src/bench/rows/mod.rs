//! All rows of the report, in its order. A figure that no row names is measured, and stands nowhere.

mod page_cache;
mod series;
mod stack;
mod svf_core;
mod traces;
mod window_mman;

pub(crate) use series::{Growth, Plot, SERIES, Series};

use super::row::Row;

/// The rows of all areas.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [svf_core::ROWS, window_mman::ROWS, page_cache::ROWS, stack::ROWS, traces::ROWS].into_iter().flatten()
}
