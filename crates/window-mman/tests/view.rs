//! Views over real mappings.

#![expect(clippy::unwrap_used, reason = "what sets up a test may panic as the test may")]

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use window_mman::{MapManager, MappedFile, StableFile, View, ViewError};

/// A file that nobody else knows, with contents that tell every offset from its neighbours.
struct Scene {
    directory: tempfile::TempDir,
    contents: Vec<u8>,
}

impl Scene {
    fn new(len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let contents: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .take(len)
        .collect();
        std::fs::write(directory.path().join("file"), &contents).unwrap();
        Self { directory, contents }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    fn part(&self, range: Range<u64>) -> &[u8] {
        &self.contents[range.start as usize..range.end as usize]
    }
}

fn stable(file: &MappedFile) -> StableFile {
    // SAFETY: these files are in a private temporary directory, and no test writes to one after
    // opening it; deleting is allowed.
    unsafe { file.assume_stable() }
}

fn open(manager: &MapManager, path: impl AsRef<Path>) -> StableFile {
    stable(&manager.open(path).unwrap())
}

fn one_page() -> u64 {
    let manager = MapManager::builder().window_size(1).build().unwrap();
    manager.window_size()
}

#[test]
fn everything_is_send_and_sync_and_static() {
    fn check<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    check::<MapManager>();
    check::<MappedFile>();
    check::<StableFile>();
    check::<View>();
    check::<window_mman::CopyView>();
    check::<window_mman::Cursor>();
    check::<window_mman::WindowBuffer>();
}

#[test]
fn views_in_one_window_share_one_region() {
    let scene = Scene::new(3 << 20);
    let manager = MapManager::new();
    let file = open(&manager, scene.path());
    let a = file.view(10..20).unwrap();
    let b = file.view(500_000..600_000).unwrap();
    let stats = manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (1, 1 << 20));
    let c = file.view(1 << 20..(1 << 20) + 1).unwrap();
    assert_eq!(manager.stats().mapped_regions, 2);
    drop((a, b, c));
    assert_eq!(manager.stats().mapped_regions, 2, "kept for the next one who asks");
    assert_eq!(manager.collect().unmapped_regions, 2);
    assert_eq!(manager.stats().mapped_bytes, 0);
}

#[test]
#[cfg(unix)]
fn two_openings_of_one_file_share_by_any_name() {
    let scene = Scene::new(10_000);
    let link = scene.directory.path().join("hard link");
    std::fs::hard_link(scene.path(), &link).unwrap();
    let symbolic = scene.directory.path().join("symbolic link");
    std::os::unix::fs::symlink(scene.path(), &symbolic).unwrap();

    let manager = MapManager::new();
    let given = std::fs::File::open(scene.path()).unwrap();
    let views: Vec<View> = [
        open(&manager, scene.path()),
        open(&manager, link),
        open(&manager, symbolic),
        stable(&manager.open_file(given).unwrap()),
    ]
    .iter()
    .map(|file| file.view(5..10_000).unwrap())
    .collect();
    let stats = manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (1, 10_000));
    assert!(views.iter().all(|view| view.as_ptr() == views[0].as_ptr()));
    assert_eq!(views[0], scene.part(5..10_000));
}

#[test]
fn files_with_equal_contents_are_not_shared() {
    let scene = Scene::new(100);
    let copy = scene.directory.path().join("copy");
    std::fs::copy(scene.path(), &copy).unwrap();
    let manager = MapManager::new();
    let a = open(&manager, scene.path()).view(0..100).unwrap();
    let b = open(&manager, copy).view(0..100).unwrap();
    assert_eq!(a, b);
    assert_ne!(a.as_ptr(), b.as_ptr());
    assert_eq!(manager.stats().mapped_regions, 2);
}

#[test]
fn ranges_that_cross_windows_are_contiguous_and_cover_just_their_pages() {
    let page = one_page();
    let scene = Scene::new(20 * page as usize + 3);
    let manager = MapManager::builder().window_size(4 * page).build().unwrap();
    let file = open(&manager, scene.path());

    let range = 4 * page - 1..4 * page + 1;
    let view = file.view(range.clone()).unwrap();
    assert_eq!(view, scene.part(range));
    assert_eq!(manager.stats().mapped_bytes, 2 * page);
    // The same pages, another range: shared.
    let other = file.view(4 * page - 9..4 * page + 9).unwrap();
    assert_eq!(manager.stats().mapped_regions, 1);
    drop((view, other));

    manager.collect();
    let all = file.view(0..file.len()).unwrap();
    assert_eq!(all, scene.contents);
    assert_eq!(manager.stats().mapped_bytes, file.len());
    assert_eq!(manager.stats().mapped_regions, 1);
}

#[test]
fn a_view_outlives_the_handle_the_manager_and_the_file() {
    let scene = Scene::new(100_000);
    let (view, manager) = {
        let manager = MapManager::new();
        let view = open(&manager, scene.path()).view(40_000..90_000).unwrap();
        (view, manager)
    };
    assert_eq!(manager.stats().open_files, 0);
    assert_eq!(manager.stats().mapped_regions, 1);
    drop(manager);
    std::fs::remove_file(scene.path()).unwrap();
    assert_eq!(view, scene.part(40_000..90_000));
    let there = std::thread::spawn(move || view.to_vec()).join().unwrap();
    assert_eq!(there, scene.part(40_000..90_000));
}

#[test]
fn files_outlive_the_manager_too() {
    let scene = Scene::new(100);
    let file = open(&MapManager::new(), scene.path());
    assert_eq!(file.view(1..99).unwrap(), scene.part(1..99));
}

#[test]
fn bytes_are_not_copied_and_keep_the_region() {
    let scene = Scene::new(100_000);
    let manager = MapManager::new();
    let view = open(&manager, scene.path()).view(7..70_000).unwrap();
    let pointer = view.as_ptr();
    let bytes = Bytes::from(view);
    assert_eq!(bytes.as_ptr(), pointer);
    let tail = bytes.slice(50_000..);
    drop(bytes);
    assert_eq!(manager.stats().mapped_regions, 1);
    assert_eq!(tail, scene.part(50_007..70_000));
    drop(tail);
    assert_eq!(manager.stats().mapped_regions, 0);
}

#[test]
fn slices_share_and_are_exact() {
    let scene = Scene::new(1000);
    let manager = MapManager::new();
    let view = open(&manager, scene.path()).view(100..200).unwrap();
    let part = view.slice(10..30).unwrap();
    assert_eq!(part.range(), 110..130);
    assert_eq!(part, scene.part(110..130));
    let inner = part.slice(5..20).unwrap();
    assert_eq!(inner.range(), 115..130);
    assert_eq!(inner, scene.part(115..130));
    assert_eq!(view.slice(0..100).unwrap(), view);

    assert!(view.slice(0..101).is_none());
    assert!(view.slice(101..101).is_none());
    assert!(view.slice(Range { start: 3, end: 2 }).is_none());
    assert!(view.slice(5..usize::MAX).is_none());
    assert!(inner.slice(0..16).is_none(), "the parent is out of reach");

    let nothing = view.slice(100..100).unwrap();
    assert_eq!(nothing.range(), 200..200);
    assert!(nothing.is_empty());
    drop((view, part, inner));
    assert_eq!(manager.stats().mapped_regions, 0, "nothing holds nothing");
}

#[test]
fn an_empty_file_has_an_empty_view() {
    let scene = Scene::new(0);
    let manager = MapManager::new();
    let file = open(&manager, scene.path());
    assert!(file.is_empty());
    for range in [0..0, 0..1, 0..u64::MAX] {
        let view = file.view(range).unwrap();
        assert!(view.is_empty());
        assert_eq!(view.range(), 0..0);
        assert_eq!(Bytes::from(view), Bytes::new());
    }
    assert!(matches!(file.view(1..1), Err(ViewError::StartsPastEnd { .. })));
    assert_eq!(manager.stats().mapped_regions, 0);
}

#[test]
fn ranges_at_and_past_the_end() {
    let scene = Scene::new(5000);
    let manager = MapManager::new();
    let file = open(&manager, scene.path());
    for range in [4990..5001, 4990..u64::MAX, 4990..5000] {
        let view = file.view(range).unwrap();
        assert_eq!(view.range(), 4990..5000);
        assert_eq!(view, scene.part(4990..5000));
    }
    for range in [5000..5000, 5000..5001, 5000..u64::MAX, 7..7] {
        let start = range.start;
        assert_eq!(file.view(range).unwrap().range(), start..start);
    }
    for range in [5001..5001, 5001..6000, u64::MAX..u64::MAX] {
        let error = file.view(range.clone()).unwrap_err();
        assert!(
            matches!(&error, ViewError::StartsPastEnd { range: told, len: 5000, .. } if *told == range),
            "{error:?}"
        );
    }
    for (start, end) in [(1, 0), (5000, 4999), (u64::MAX, 0), (6000, 5500)] {
        let error = file.view(Range { start, end }).unwrap_err();
        assert!(matches!(error, ViewError::Reversed { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("{start}..{end}")), "{message}");
        assert!(message.contains("file\""), "{message}");
    }
    assert_eq!(manager.stats().maps, 1, "errors and empty views map nothing");
}

#[test]
#[cfg(unix)]
fn a_sparse_file_of_a_tebibyte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sparse");
    let len = 1_u64 << 40;
    let file = std::fs::File::create(&path).unwrap();
    if file.set_len(len).is_err() {
        return; // This file system has no files that long.
    }
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end", len - 7).unwrap();
    drop(file);
    let manager = MapManager::new();
    let view = open(&manager, path).view(len - 7..u64::MAX).unwrap();
    assert_eq!(view, b"the end");
    assert_eq!(manager.stats().mapped_bytes, 1 << 20);
}

#[test]
fn debug_shows_where_and_not_what() {
    let scene = Scene::new(1000);
    let manager = MapManager::new();
    let file = open(&manager, scene.path());
    let view = file.view(100..200).unwrap();
    assert_eq!(format!("{view:?}"), "View { range: 100..200, len: 100 }");
    assert!(format!("{file:?}").contains("len: 1000"));
    assert!(format!("{manager:?}").contains("mapped_regions: 1"));
}

#[test]
fn eight_threads_view_and_drop_at_random() {
    let page = one_page();
    let scene = Scene::new(64 * page as usize + 11);
    let len = scene.contents.len() as u64;
    let manager = MapManager::builder().window_size(2 * page).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (manager, scene) = (&manager, &scene);
            scope.spawn(move || {
                let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread + 1);
                let mut random = |below: u64| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 16) % below
                };
                let mut file = open(manager, scene.path());
                let mut held: Vec<Bytes> = Vec::new();
                for _ in 0..4000 {
                    let start = random(len);
                    let most = if random(4) == 0 { 9 * page } else { 300 };
                    let size = random(most);
                    let view = file.view(start..start + size).unwrap();
                    assert_eq!(view, scene.part(start..(start + size).min(len)));
                    match random(8) {
                        0 => held.push(view.clone().into()),
                        1 => held.push(view.slice(0..view.len() / 2).unwrap().into()),
                        2 => file = open(manager, scene.path()),
                        _ => {}
                    }
                    if held.len() > 10 {
                        held.swap_remove(random(10) as usize);
                    }
                }
            });
        }
    });
    let stats = manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (0, 0));
    assert_eq!(stats.open_files, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any ranges, any window size: the bytes are those of the file, and the regions are as many
    /// as there are different windows and covers.
    #[test]
    fn views_are_the_file(
        len in prop_oneof![0_usize..100, 0_usize..300_000],
        window_pages in prop_oneof![Just(1_u64), 2_u64..9, Just(256)],
        ranges in proptest::collection::vec(
            (0_u64..310_000, prop_oneof![0_u64..50, 0_u64..310_000, Just(u64::MAX)]),
            1..40,
        ),
    ) {
        let scene = Scene::new(len);
        let contents = std::fs::read(scene.path()).unwrap();
        let len = len as u64;
        let page = one_page();
        let window = window_pages * page;
        let manager = MapManager::builder().window_size(window).build().unwrap();
        let file = open(&manager, scene.path());
        let mut views = Vec::new();
        let mut expected = std::collections::HashSet::new();
        for (start, size) in ranges {
            let end = start.saturating_add(size);
            let view = match file.view(start..end) {
                Ok(view) => view,
                Err(error) => {
                    prop_assert!(start > len, "{error}");
                    continue;
                }
            };
            prop_assert!(start <= len);
            let end = end.min(len);
            prop_assert_eq!(view.range(), start..end);
            prop_assert!(view == contents[start as usize..end as usize]);
            prop_assert_eq!(&file.file().bytes(start..end).unwrap()[..], &view[..]);
            if start < end {
                let crosses = start / window != (end - 1) / window;
                let unit = if crosses { page } else { window };
                expected.insert((start / unit * unit, end.div_ceil(unit).saturating_mul(unit).min(len)));
            }
            views.push(view);
        }
        let stats = manager.stats();
        prop_assert_eq!(stats.mapped_regions, expected.len());
        prop_assert_eq!(stats.mapped_bytes, expected.iter().map(|(start, end)| end - start).sum::<u64>());
        drop((views, file));
        prop_assert_eq!(manager.stats().mapped_bytes, 0);
    }
}
