//! What can only be seen from outside of a process: signals, and forks. A program without the test harness, which
//! starts itself once for each case.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}
