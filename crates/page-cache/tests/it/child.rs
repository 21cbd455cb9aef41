//! Processes of this very program. A test that needs some starts itself again in each, and first asks which it is.

use std::process::{Command, Stdio};

/// Set in a process that a test has started.
const CHILD: &str = "PAGE_CACHE_TEST_CHILD";

/// Whether this process was started by [`command`], and the test is to do a child's part.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// A process that runs `test` alone, as a child.
pub(crate) fn command<Test: Fn()>(_test: Test) -> Command {
    // The harness knows a test by the path of its function, without the crate.
    let path = std::any::type_name::<Test>();
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}
