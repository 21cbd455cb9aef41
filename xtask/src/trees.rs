//! What the three libraries depend on by default: no HTTP, no async runtime.

use crate::process::{Result, cargo, output};

const LIBRARIES: [&str; 3] = ["svf-core", "window-mman", "page-cache"];
const UNWANTED: [&str; 8] = ["tokio", "async-std", "smol", "hyper", "reqwest", "http", "object_store", "rustls"];

pub(crate) fn check() -> Result {
    for library in LIBRARIES {
        let tree = output(&mut cargo([
            "tree",
            "--package",
            library,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]))?;
        let mut packages: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        packages.sort_unstable();
        packages.dedup();
        println!("{library}: {} packages", packages.len() - 1);
        // Were the tree empty, nothing unwanted could be in it either.
        if !packages.contains(&library) {
            return Err(format!("{library} is not in its own tree:\n{tree}").into());
        }
        if let Some(unwanted) = packages.iter().find(|package| UNWANTED.contains(package)) {
            return Err(format!("{library} depends on {unwanted} by default:\n{tree}").into());
        }
    }
    Ok(())
}
