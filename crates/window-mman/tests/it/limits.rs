//! Limits: what is kept, in which order it goes, and that nothing is ever wrong meanwhile.

use std::io::{BufRead, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use window_mman::{LimitPolicy, MapManager, MapManagerBuilder, StableFile};

use crate::common::{PAGE, Random, Scene, byte, content, stable};

/// A file of a gibibyte that takes up no disk, and 64 windows of a mebibyte.
fn trace_file() -> (tempfile::TempDir, MapManager, StableFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let manager = MapManager::builder().window_size(1 << 20).max_mapped_bytes(64 << 20).build().unwrap();
    let file = stable(&manager.open(path).unwrap());
    (directory, manager, file)
}

/// 20,000 reads of 64 bytes, nine of ten in the first 48 MiB.
fn trace() -> Vec<u64> {
    let mut random = Random::new(0x5EED);
    let mut read = || {
        let bytes: u64 = if random.below(10) < 9 { 48 << 20 } else { 1 << 30 };
        random.below(bytes / 64) * 64
    };
    (0..20_000).map(|_| read()).collect()
}

/// How many windows a list that is searched from its end to its start would map.
fn maps_of_a_true_lru(windows: impl Iterator<Item = u64>) -> u64 {
    let (mut order, mut maps) = (Vec::new(), 0);
    for window in windows {
        match order.iter().rposition(|other| *other == window) {
            Some(place) => drop(order.remove(place)),
            None => maps += 1,
        }
        order.push(window);
        if order.len() > 64 {
            order.remove(0);
        }
    }
    maps
}

#[test]
fn the_trace_maps_as_often_as_a_true_lru() {
    let expected = maps_of_a_true_lru(trace().iter().map(|offset| offset >> 20));
    assert_eq!(expected, 2326, "the trace is what it was");
    {
        let (_directory, manager, file) = trace_file();
        for offset in trace() {
            file.view(offset..offset + 64).unwrap();
        }
        assert_eq!(manager.stats().maps, expected, "by views");
        assert_eq!((manager.stats().mapped_regions, manager.stats().evictions), (64, expected - 64));
    }
    let (_directory, manager, file) = trace_file();
    let mut cursor = file.cursor();
    for offset in trace() {
        cursor.use_region(offset..offset + 64).unwrap();
    }
    assert_eq!(manager.stats().maps, expected, "by a cursor");
}

#[test]
fn five_thousand_files_and_ten_thousand_windows_with_sixty_four_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let manager = MapManager::builder().window_size(PAGE).max_open_files(64).max_regions(12_000).build().unwrap();
    let path = |file: u64| directory.path().join(file.to_string());
    let files: Vec<StableFile> = (0..5_000)
        .map(|file| {
            std::fs::write(path(file), content(file, 2 * PAGE)).unwrap();
            stable(&manager.open(path(file)).unwrap())
        })
        .collect();
    assert_eq!((manager.stats().open_files, manager.stats().descriptors), (5_000, 64));
    let mut views = Vec::new();
    for (number, file) in (0..).zip(&files) {
        for offset in [7, PAGE + 7] {
            let view = file.view(offset..offset + 9).unwrap();
            assert!(view.iter().zip(offset..).all(|(found, offset)| *found == byte(number, offset)));
            views.push(view);
        }
    }
    let stats = manager.stats();
    assert_eq!((stats.mapped_regions, stats.descriptors), (10_000, 64));
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| {
        entries
            .filter_map(|entry| entry.unwrap().path().read_link().ok())
            .filter(|to| to.starts_with(directory.path()))
            .count()
    });
    assert!(open <= 64, "{open}");
    let mut random = Random::new(3);
    for _ in 0..2_000 {
        let (number, offset) = (random.below(5_000), random.below(2 * PAGE - 9));
        let bytes = files[number as usize].file().bytes(offset..offset + 9).unwrap();
        assert!(bytes.iter().zip(offset..).all(|(found, offset)| *found == byte(number, offset)));
        assert!(manager.stats().descriptors <= 64);
    }
    drop((views, files));
    let stats = manager.stats();
    assert_eq!((stats.mapped_regions, stats.descriptors, stats.open_files), (0, 0, 0));
}

/// A hot window stays however many others come and go; what is held is never unmapped; what exceeds the limit because
/// it was held goes as soon as it is let go of.
#[test]
fn limits_are_kept_as_soon_as_they_can_be() {
    let scene = Scene::with(400 * PAGE, |builder| builder.max_mapped_bytes(16 * PAGE));
    let file = scene.stable();
    let hot = |file: &StableFile| file.view(0..1).unwrap().as_ptr();
    let address = hot(&file);
    for window in 1..99 {
        file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap();
        assert_eq!(hot(&file), address);
        assert!(scene.manager.stats().mapped_bytes <= 16 * PAGE);
    }
    let held: Vec<_> = (0..30).map(|window| file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap()).collect();
    assert_eq!(scene.manager.stats().mapped_bytes, 120 * PAGE, "exceeded by what is held");
    let mut mapped = 120;
    for (window, view) in held.into_iter().enumerate() {
        assert_eq!(view, scene.content[window * 4 * PAGE as usize..][..1]);
        drop(view);
        mapped = (mapped - 4).max(16);
        assert_eq!(scene.manager.stats().mapped_bytes, mapped * PAGE);
    }
}

#[test]
fn a_range_beyond_the_limit_is_mapped_for_as_long_as_it_is_held() {
    let scene = Scene::with(400 * PAGE, |builder| builder.max_mapped_bytes(16 * PAGE));
    let file = scene.stable();
    let all = file.view(0..u64::MAX).unwrap();
    assert_eq!(all, scene.content);
    file.view(0..1).unwrap();
    drop(all);
    assert!(scene.manager.stats().mapped_bytes <= 16 * PAGE);
}

/// Reads all of `range`, and checks it.
fn scan(file: &StableFile, content: &[u8], range: std::ops::Range<u64>) {
    let mut buffer = file.buffer(range.clone()).unwrap();
    let mut offset = range.start as usize;
    loop {
        let bytes = buffer.fill_buf().unwrap();
        if bytes.is_empty() {
            break;
        }
        assert!(bytes == &content[offset..offset + bytes.len()]);
        let count = bytes.len();
        offset += count;
        buffer.consume(count);
    }
    assert_eq!(offset as u64, range.end);
}

/// What is read on and on takes larger and larger pieces, and leaves none of them behind.
#[test]
fn a_scan_does_not_cost_others_their_windows() {
    const LEN: u64 = 1024 * PAGE;
    let scene = Scene::with(LEN, |builder| builder.max_mapped_bytes(64 * PAGE));
    let file = scene.stable();
    let hot =
        || (0..8).for_each(|window| assert_eq!(file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap().len(), 1));
    hot();
    let before = scene.manager.stats();
    assert_eq!((before.maps, before.mapped_bytes), (8, 32 * PAGE));
    scan(&file, &scene.content, 64 * PAGE..LEN);
    let after = scene.manager.stats();
    assert!(after.maps - before.maps < 80, "pieces of four windows: {after:?}");
    hot();
    assert_eq!(scene.manager.stats().maps, after.maps, "the others' windows are still there");
    assert_eq!(scene.manager.stats().evictions, 0);
}

/// A piece that somebody else holds, or has asked for, is not the reader's to give up.
#[test]
fn a_scan_leaves_what_others_use() {
    let scene = Scene::with(256 * PAGE, |builder| builder.max_mapped_bytes(128 * PAGE));
    let file = scene.stable();
    let piece = 8 * PAGE..16 * PAGE;
    // Held, made and used by another.
    let theirs = file.view(piece.clone()).unwrap();
    scan(&file, &scene.content, 0..256 * PAGE);
    drop(theirs);
    let there = |range: &std::ops::Range<u64>| scene.manager.regions().iter().any(|region| region.range == *range);
    assert!(there(&piece), "held by another");
    // Made by the reader, and found by another while it was there.
    scene.manager.collect();
    let mut buffer = file.buffer(0..256 * PAGE).unwrap();
    while buffer.cursor().region() != Some(piece.clone()) {
        let count = buffer.fill_buf().unwrap().len();
        buffer.consume(count);
        buffer.fill_buf().unwrap();
    }
    drop(file.view(piece.clone()).unwrap());
    buffer.read_to_end(&mut Vec::new()).unwrap();
    assert!(there(&piece), "asked for by another");
    // Its own alone.
    scene.manager.collect();
    buffer.seek(SeekFrom::Start(0)).unwrap();
    buffer.read_to_end(&mut Vec::new()).unwrap();
    assert!(!there(&piece), "of no use to anybody");
}

/// Reading on goes by windows where larger pieces do not fit.
#[test]
fn a_scan_needs_no_more_room_than_a_window() {
    let builder = |builder: window_mman::MapManagerBuilder| {
        builder.max_mapped_bytes(256 * PAGE).when_limit_is_held(LimitPolicy::Error)
    };
    let scene = Scene::with(1024 * PAGE, builder);
    let file = scene.stable();
    let window = |window: u64| file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap();
    for held in [40, 60, 63] {
        let held: Vec<_> = (0..held).map(|number| window(256 - 1 - number)).collect();
        scan(&file, &scene.content, 0..700 * PAGE);
        drop(held);
    }
    let _held: Vec<_> = (0..64).map(|number| window(256 - 1 - number)).collect();
    let refused = file.buffer(0..PAGE).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert!(refused.to_string().contains("drop views"), "{refused}");
}

/// What is larger than the limit is refused without anything given up for it.
#[test]
fn a_request_beyond_a_strict_limit_leaves_everything_mapped() {
    let strict =
        |builder: MapManagerBuilder| builder.max_mapped_bytes(16 * PAGE).when_limit_is_held(LimitPolicy::Error);
    let scene = Scene::with(400 * PAGE, strict);
    let file = scene.stable();
    for window in 0..4 {
        file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap();
    }
    let error = file.view(0..400 * PAGE).unwrap_err().to_string();
    assert!(error.contains("alone more than the limit"), "{error}");
    let held = file.view(0..1).unwrap();
    let error = file.view(20 * PAGE..36 * PAGE).unwrap_err().to_string();
    assert!(error.contains("held: 16384 bytes"), "{error}");
    assert_eq!((scene.manager.stats().mapped_regions, scene.manager.stats().evictions), (4, 0));
    drop(held);
}

/// Uses on other threads, and of other managers, however many, count no more than those behind them.
#[test]
fn a_busy_thread_does_not_keep_its_windows_from_others() {
    let scene = Scene::with(400 * PAGE, |builder| builder.max_regions(2));
    let other = Scene::new(PAGE);
    let (file, others) = (scene.stable(), other.stable());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100_000 {
                others.view(0..1).unwrap();
                file.view(0..1).unwrap();
            }
        });
    });
    for window in 1..3 {
        file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap();
    }
    let left: Vec<u64> = scene.regions().iter().map(|(start, ..)| start / (4 * PAGE)).collect();
    assert_eq!(left, [1, 2]);
}

/// A file that has no mappings does not take the place of one that has, and then lose it.
#[test]
fn what_had_to_go_for_an_unmappable_file_is_unmapped() {
    const UNMAPPABLE: &str = "/sys/devices/system/cpu/online";
    let scene = Scene::with(PAGE, |builder| builder.max_regions(1));
    let Ok(unmappable) = scene.manager.open(UNMAPPABLE) else { return };
    let file = scene.stable();
    file.view(0..PAGE).unwrap();
    let path = scene.path();
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap());
    assert!(mapped());
    // It has fewer bytes than it says.
    drop(unmappable.copy_view(0..PAGE));
    assert!(!mapped(), "nobody's memory");
}

/// Eight threads over four files under a limit of a few windows: every byte is looked at.
#[test]
fn eight_threads_over_four_files_see_their_own_bytes() {
    const LEN: u64 = 64 * PAGE + 11;
    let scene = Scene::with(1, |builder| builder.max_mapped_bytes(24 * PAGE).max_open_files(2));
    let contents: Vec<Vec<u8>> = (0..4).map(|file| content(file, LEN)).collect();
    let path = |file: usize| scene.directory.path().join(format!("stress {file}"));
    for (file, content) in contents.iter().enumerate() {
        std::fs::write(path(file), content).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(5);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (scene, contents) = (&scene, &contents);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                let open = |file: usize| stable(&scene.manager.open(path(file)).unwrap());
                let mut files: Vec<StableFile> = (0..4).map(open).collect();
                let mut cursors: Vec<_> = files.iter().map(StableFile::cursor).collect();
                let mut held = Vec::new();
                while Instant::now() < end {
                    for _ in 0..100 {
                        let file = random.below(4) as usize;
                        let start = random.below(LEN);
                        let most = if random.below(8) == 0 { 9 * PAGE } else { 200 };
                        let range = start..start + random.below(most);
                        let expected = &contents[file][range.start as usize..range.end.min(LEN) as usize];
                        match random.below(6) {
                            0..3 => assert!(cursors[file].use_region(range).unwrap() == expected),
                            3 => {
                                let view = files[file].view(range).unwrap();
                                assert!(view == *expected);
                                held.push((view, expected));
                            }
                            4 => {
                                let copies = files[file].file().copy_view(range).unwrap();
                                let mut copy = vec![0; expected.len()];
                                copies.try_copy_to(0, &mut copy).unwrap();
                                assert!(copy == expected);
                            }
                            _ => assert!(files[file].file().bytes(range).unwrap() == *expected),
                        }
                        if held.len() > 3 {
                            let (view, expected) = held.swap_remove(random.below(4) as usize);
                            assert!(view == *expected, "a view changes never");
                        }
                    }
                    let file = random.below(4) as usize;
                    match random.below(20) {
                        0 => files[file] = open(file),
                        1 => cursors[file] = files[file].cursor(),
                        2 => drop(scene.manager.collect()),
                        3 => drop(scene.manager.unmap_under(path(file))),
                        4 => drop(scene.manager.regions()),
                        _ => {}
                    }
                }
            });
        }
    });
    let stats = scene.manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (0, 0));
    assert_eq!((stats.open_files, stats.descriptors), (0, 0));
    assert!(stats.maps > 1000 && stats.evictions > 0 && stats.opens > 0, "{stats:?}");
}
