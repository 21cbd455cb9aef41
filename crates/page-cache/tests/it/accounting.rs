//! What a directory takes of the disk, what is charged for it, and what must not be left in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use page_cache::Cache;

/// The bytes of the disk that data files and indexes take now, each once though it be moved meanwhile.
pub(crate) fn allocated_by_pairs(cache: &Path) -> u64 {
    let below = |name: &str| cache.join(name).read_dir().into_iter().flatten();
    let files = below("pairs").chain(below("aside")).filter_map(|entry| entry.ok()?.metadata().ok());
    files.map(|metadata| (metadata.ino(), metadata.blocks() * 512)).collect::<BTreeMap<_, _>>().into_values().sum()
}

/// The bytes of the disk that all files below a directory take now, each once though it be moved meanwhile, and the
/// directories themselves.
pub(crate) fn allocated(cache: &Path) -> u64 {
    let mut taken = BTreeMap::new();
    let mut pending = vec![cache.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        taken.insert(metadata.ino(), metadata.blocks() * 512);
        pending.extend(path.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
    }
    taken.into_values().sum()
}

/// What each directory takes of the disk and the names in it, for who looks for a byte too much.
pub(crate) fn listing(cache: &Path) -> String {
    let mut all = String::new();
    for below in ["", "heads", "pairs", "aside"] {
        let directory = cache.join(below);
        all += &format!("\n{} {}", directory.display(), directory.metadata().map_or(0, |found| found.blocks() * 512));
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let blocks = entry.metadata().map_or(0, |found| found.blocks() * 512);
            all += &format!("\n  {} {blocks}", entry.file_name().display());
        }
    }
    all
}

/// What is charged now, as it stands in control, without opening the cache: whoever opens it may tidy up.
pub(crate) fn charged(cache: &Path) -> u64 {
    let mut used = [0; 8];
    File::open(cache.join("control")).unwrap().read_exact_at(&mut used, 88).unwrap();
    u64::from_le_bytes(used)
}

/// After a recount: what is charged is what is taken, and no more than is documented beyond that.
pub(crate) fn check_budget(cache: &Cache) {
    let found = cache.recount(Duration::from_secs(30)).unwrap().unwrap();
    assert!(found.allocated <= found.charged, "{found:?}");
    let fixed = cache.usage().fixed + found.pairs * (16 << 10);
    assert!(found.charged <= found.allocated + 64 * found.pages + fixed, "{found:?}");
}

/// Nothing is left that is temporary or set aside.
pub(crate) fn check_tidy(cache: &Path) {
    for below in ["", "heads", "pairs", "aside"] {
        let names = fs::read_dir(cache.join(below)).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> =
            names.filter(|name| below == "aside" || name.to_string_lossy().ends_with(".svf-tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
