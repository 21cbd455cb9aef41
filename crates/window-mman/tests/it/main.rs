//! The crate from outside, over real files and mappings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod changes;
mod common;
#[cfg(target_os = "linux")]
mod faults;
mod limits;
mod rows;
mod state_machine;
