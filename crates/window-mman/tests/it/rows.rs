//! What smmap and MemoryFile can do, row by row.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use window_mman::{Advice, Grid, MapManager, Strategy, ViewError};

use crate::common::{PAGE, Scene, stable};

/// `StaticWindowMapManager`: one region a file, whatever is looked at.
#[test]
fn strategy_static_maps_whole_files() {
    let scene = Scene::with(50 * PAGE + 3, |builder| builder.strategy(Strategy::Static));
    assert_eq!(scene.manager.strategy(), Strategy::Static);
    let file = scene.stable();
    let mut cursor = file.cursor();
    assert_eq!(cursor.use_region(30 * PAGE..).unwrap(), &scene.content[30 * PAGE as usize..]);
    assert_eq!(file.view(0..5).unwrap(), scene.content[..5]);
    assert_eq!(scene.regions(), [(0, 50 * PAGE + 3, 1)]);
    let mut buffer = file.buffer(0..u64::MAX).unwrap();
    let mut all = Vec::new();
    buffer.read_to_end(&mut all).unwrap();
    assert_eq!(all, scene.content);
    assert_eq!(scene.manager.stats().maps, 1);
}

/// `SlidingWindowMapManager`: windows where somebody looks.
#[test]
fn strategy_sliding_maps_windows() {
    let scene = Scene::new(50 * PAGE + 3);
    assert_eq!(scene.manager.strategy(), Strategy::Sliding);
    let file = scene.stable();
    for offset in [0, 30 * PAGE, 50 * PAGE + 2] {
        assert_eq!(file.view(offset..offset + 1).unwrap(), scene.content[offset as usize..][..1]);
    }
    assert_eq!(scene.regions(), [(0, 4 * PAGE, 0), (28 * PAGE, 32 * PAGE, 0), (48 * PAGE, 50 * PAGE + 3, 0)]);
}

/// `window_size`, `max_memory_size`, `max_open_handles`, and what they are by default.
#[test]
fn the_builder_sets_sizes_and_limits_and_has_defaults() {
    let manager = MapManager::builder()
        .window_size(8 * PAGE)
        .max_mapped_bytes(80 * PAGE)
        .max_regions(7)
        .max_open_files(3)
        .build()
        .unwrap();
    assert_eq!((manager.window_size(), manager.max_mapped_bytes()), (8 * PAGE, 80 * PAGE));
    assert_eq!((manager.max_regions(), manager.max_open_files()), (7, 3));

    let manager = MapManager::new();
    assert_eq!((manager.window_size(), manager.max_regions()), (1 << 20, 16_384));
    assert_eq!(manager.max_mapped_bytes(), if usize::BITS >= 64 { 256 << 30 } else { 1 << 30 });
    assert!((1..=1024).contains(&manager.max_open_files()));
}

/// `make_cursor(path_or_fd)`, `fd`, `path`, `path_or_fd`, `flags`; one file by any name.
#[test]
fn files_are_opened_by_path_or_handed_over() {
    let scene = Scene::new(10 * PAGE);
    let link = scene.directory.path().join("link");
    std::fs::hard_link(scene.path(), &link).unwrap();
    let by_path = scene.open();
    let by_link = scene.manager.open(&link).unwrap();
    // The caller's own flags: here for writing, too.
    let given = scene.manager.open_file(File::options().read(true).write(true).open(&link).unwrap()).unwrap();
    assert_eq!((by_path.path(), by_link.path(), given.path()), (Some(&*scene.path()), Some(&*link), None));
    let views = [&by_path, &by_link, &given].map(|file| stable(file).view(5..9).unwrap());
    assert!(views.iter().all(|view| view.as_ptr() == views[0].as_ptr()));
    let stats = scene.manager.stats();
    assert_eq!((stats.open_files, stats.descriptors, stats.mapped_regions), (1, 2, 1));
}

/// `use_region`, `unuse_region`, `is_valid`, `is_associated`, `buffer`, `map`, `size`, `ofs_begin`, `ofs_end`,
/// `includes_ofs`, `file_size`.
#[test]
fn a_cursor_moves_and_tells_where_it_is() {
    let scene = Scene::new(50 * PAGE + 3);
    let file = scene.stable();
    let mut cursor = file.cursor();
    assert!(!cursor.is_valid());
    assert_eq!((cursor.range(), cursor.as_slice(), cursor.region()), (0..0, &[][..], None));
    assert_eq!(cursor.file().len(), 50 * PAGE + 3);

    assert_eq!(cursor.use_region(100..200).unwrap(), &scene.content[100..200]);
    assert!(cursor.is_valid());
    assert_eq!((cursor.range(), cursor.region()), (100..200, Some(0..4 * PAGE)));
    assert!(cursor.includes(100) && cursor.includes(199) && !cursor.includes(200) && !cursor.includes(99));

    // Without an end: as far as the region goes, and never cut short by a neighbour.
    assert_eq!(cursor.use_region(5 * PAGE..).unwrap().len() as u64, 3 * PAGE);
    assert_eq!(cursor.use_region(50 * PAGE..).unwrap(), &scene.content[50 * PAGE as usize..]);
    // With one: min(length, file length - offset), contiguous.
    for range in [3 * PAGE..9 * PAGE, 0..50 * PAGE + 3, 49 * PAGE..u64::MAX, 7..7, 50 * PAGE + 3..60 * PAGE] {
        let expected = range.start as usize..range.end.min(50 * PAGE + 3) as usize;
        assert_eq!(cursor.use_region(range).unwrap(), &scene.content[expected]);
    }
    assert_eq!(cursor.use_region(..=9).unwrap(), &scene.content[..10]);

    cursor.unuse_region();
    assert!(!cursor.is_valid() && cursor.as_slice().is_empty());
    assert!(scene.regions().iter().all(|(_, _, holders)| *holders == 0));

    for (start, end) in [(5, 4), (50 * PAGE + 4, 60 * PAGE), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        cursor.use_region(0..1).unwrap();
        let error = cursor.use_region(Range { start, end }).unwrap_err();
        assert!(matches!(error, ViewError::Reversed { .. } | ViewError::StartsPastEnd { .. }), "{error:?}");
        assert!(!cursor.is_valid());
    }
    assert!(cursor.use_region(60 * PAGE..).is_err());
}

/// `region_ref`, `assign`, copies of cursors.
#[test]
fn cursors_are_cloned_and_their_views_are_kept() {
    let scene = Scene::new(50 * PAGE);
    let mut cursor = scene.stable().cursor();
    cursor.use_region(100..200).unwrap();
    let mut copy = cursor.clone();
    let view = cursor.view();
    assert_eq!(scene.regions(), [(0, 4 * PAGE, 3)]);
    cursor.use_region(30 * PAGE..30 * PAGE + 9).unwrap();
    assert_eq!(copy.as_slice(), &scene.content[100..200]);
    assert_eq!(view, scene.content[100..200]);
    copy.clone_from(&cursor);
    assert_eq!(copy.range(), 30 * PAGE..30 * PAGE + 9);
    assert_eq!(scene.regions(), [(0, 4 * PAGE, 1), (28 * PAGE, 32 * PAGE, 2)]);
    drop((cursor, copy));
    let bytes = Bytes::from(view);
    assert_eq!(bytes, scene.content[100..200]);
    drop(bytes);
    assert_eq!(scene.regions(), [], "the last handle of the file was a cursor's");
}

/// Regions: offsets, client and usage count; their list.
#[test]
fn regions_tell_who_uses_them_and_how_often() {
    let scene = Scene::new(50 * PAGE);
    let file = scene.stable();
    let view = file.view(0..1).unwrap();
    for _ in 0..4 {
        file.view(7..9).unwrap();
    }
    let _clone = view.clone();
    let regions = scene.manager.regions();
    assert_eq!(regions.len(), 1);
    assert_eq!(regions[0].path.as_deref(), Some(&*scene.path()));
    assert_eq!((regions[0].range.clone(), regions[0].holders, regions[0].uses), (0..4 * PAGE, 2, 5));
}

/// `SlidingWindowMapBuffer`: index, negative index, slices, `offset`, `size`, `cursor`, and the end of access.
#[test]
fn buffers_are_indexed_and_sliced_from_either_end() {
    let scene = Scene::new(50 * PAGE);
    let file = scene.stable();
    let mut buffer = file.buffer(3 * PAGE + 5..40 * PAGE).unwrap();
    let part = &scene.content[3 * PAGE as usize + 5..40 * PAGE as usize];
    assert_eq!((buffer.len(), buffer.range()), (part.len() as u64, 3 * PAGE + 5..40 * PAGE));
    for index in [0, 1, PAGE as i64, part.len() as i64 - 1] {
        assert_eq!(buffer.get(index).unwrap(), Some(part[index as usize]), "the offset counts");
        assert_eq!(buffer.get(-1 - index).unwrap(), Some(part[part.len() - 1 - index as usize]));
    }
    for index in [part.len() as i64, i64::MAX, -1 - part.len() as i64, i64::MIN] {
        assert_eq!(buffer.get(index).unwrap(), None);
    }
    assert_eq!(buffer.slice(..).unwrap(), part);
    assert_eq!(buffer.slice(5..10).unwrap(), part[5..10]);
    assert_eq!(buffer.slice(-5..).unwrap(), part[part.len() - 5..]);
    assert_eq!(buffer.slice(-9..-2).unwrap(), part[part.len() - 9..part.len() - 2]);
    assert_eq!(buffer.slice(10..i64::MAX).unwrap(), part[10..], "clipped");
    assert_eq!(buffer.slice(5..5).unwrap(), part[5..5], "an empty slice is empty");
    assert!(matches!(buffer.slice(Range { start: 10, end: 5 }), Err(ViewError::Reversed { .. })));
    assert!(matches!(buffer.slice(i64::MAX - 1..), Err(ViewError::StartsPastEnd { .. })));

    buffer.get(0).unwrap();
    assert!(buffer.cursor().is_valid());
    buffer.release();
    assert!(!buffer.cursor().is_valid());
    buffer.get(0).unwrap();
    drop(buffer);
    assert!(scene.regions().iter().all(|(_, _, holders)| *holders == 0));

    assert!(matches!(file.buffer(Range { start: 5, end: 4 }), Err(ViewError::Reversed { .. })));
    assert!(matches!(file.buffer(50 * PAGE + 1..60 * PAGE), Err(ViewError::StartsPastEnd { .. })));
    let mut empty = file.buffer(50 * PAGE..60 * PAGE).unwrap();
    assert!(empty.is_empty() && empty.get(0).unwrap().is_none() && empty.slice(..).unwrap().is_empty());
    assert_eq!(empty.fill_buf().unwrap(), b"");
}

/// `Read + Seek + BufRead`, in pieces that grow, and never one byte beside the file.
#[test]
fn buffers_are_readers() {
    let scene = Scene::with(300 * PAGE + 11, |builder| builder.max_mapped_bytes(64 * PAGE));
    let file = scene.stable();
    let mut longest = 0;
    for range in [0..u64::MAX, 5..300 * PAGE, 4 * PAGE..4 * PAGE + 9, 299 * PAGE + 7..u64::MAX] {
        let part = &scene.content[range.start as usize..range.end.min(300 * PAGE + 11) as usize];
        let mut buffer = file.buffer(range).unwrap();
        let mut all = Vec::new();
        loop {
            let bytes = buffer.fill_buf().unwrap();
            if bytes.is_empty() {
                break;
            }
            all.extend_from_slice(bytes);
            longest = longest.max(bytes.len() as u64);
            let count = bytes.len();
            buffer.consume(count);
        }
        assert!(all == part);
        assert_eq!(buffer.stream_position().unwrap(), part.len() as u64);
        buffer.rewind().unwrap();
        all.clear();
        buffer.read_to_end(&mut all).unwrap();
        assert!(all == part);
        let mut last = [0; 3];
        buffer.seek(SeekFrom::End(-3)).unwrap();
        buffer.read_exact(&mut last).unwrap();
        assert_eq!(last, part[part.len() - 3..]);
        assert_eq!(buffer.seek(SeekFrom::Start(1 << 60)).unwrap(), 1 << 60);
        assert_eq!(buffer.read(&mut last).unwrap(), 0);
        assert!(buffer.seek(SeekFrom::Current(i64::MIN)).is_err());
    }
    assert_eq!(longest, 16 * PAGE, "a quarter of the limit");
    assert!(scene.manager.stats().mapped_bytes <= 64 * PAGE);
}

/// `collect` and `force_map_handle_removal_win`, with their counts.
#[test]
fn what_nobody_holds_is_collected_and_unmapped_by_path() {
    let scene = Scene::new(50 * PAGE);
    let below = scene.directory.path().join("below");
    std::fs::create_dir(&below).unwrap();
    std::fs::copy(scene.path(), below.join("a")).unwrap();
    let file = scene.stable();
    let other = stable(&scene.manager.open(below.join("a")).unwrap());
    let held = file.view(0..1).unwrap();
    file.view(20 * PAGE..20 * PAGE + 1).unwrap();
    let held_below = other.view(0..1).unwrap();
    other.view(10 * PAGE..10 * PAGE + 1).unwrap();
    other.view(20 * PAGE..20 * PAGE + 1).unwrap();

    let done = scene.manager.unmap_under(&below);
    assert_eq!((done.unmapped_regions, done.unmapped_bytes), (2, 8 * PAGE));
    assert_eq!((done.held_regions, done.held_bytes), (1, 4 * PAGE));
    assert_eq!(scene.manager.stats().mapped_regions, 3);
    assert_eq!(scene.manager.unmap_under(below.join("b")), window_mman::Collected::default());

    let done = scene.manager.collect();
    assert_eq!((done.unmapped_regions, done.held_regions, done.held_bytes), (1, 2, 8 * PAGE));
    drop((held, held_below));
    assert_eq!(scene.manager.collect().unmapped_regions, 2);
    assert_eq!(scene.manager.stats().mapped_bytes, 0);
}

/// `num_file_handles`, `num_open_files`, `mapped_memory_size`.
#[test]
fn stats_count_what_is_open_and_mapped() {
    let scene = Scene::with(50 * PAGE, |builder| builder.max_regions(2));
    let file = scene.stable();
    for window in 0..5 {
        file.view(window * 4 * PAGE..window * 4 * PAGE + 1).unwrap();
    }
    let stats = scene.manager.stats();
    assert_eq!((stats.open_files, stats.descriptors, stats.opens), (1, 1, 1));
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (2, 8 * PAGE));
    assert_eq!((stats.maps, stats.evictions), (5, 3));
}

/// `align_to_mmap`, `MapWindow`: the arithmetic alone is tested in the crate; here that it is what is mapped.
#[test]
fn the_grid_tells_what_will_be_mapped() {
    let scene = Scene::new(50 * PAGE + 3);
    let grid: Grid = scene.manager.grid();
    let file = scene.stable();
    for range in [5..6, 4 * PAGE - 1..4 * PAGE + 1, 50 * PAGE..50 * PAGE + 3, 0..50 * PAGE + 3] {
        scene.manager.collect();
        file.view(range.clone()).unwrap();
        let expected = grid.region_for(&range, file.len());
        assert_eq!(scene.regions(), [(expected.start, expected.end, 0)]);
    }
}

/// `MemoryFile`: index with bounds check, `len`, slices, caching around the index, close.
#[test]
fn paged_files_are_arrays_without_mappings() {
    let scene = Scene::new(100 * PAGE + 7);
    let mut file = scene.open().paged();
    let (content, len) = (&scene.content, scene.content.len());
    assert_eq!((file.len(), file.page_size()), (len as u64, 64 << 10));
    for index in [0, 1, len - 1, len / 2, 65_535, 65_536, 12_345] {
        assert_eq!(file.get(index as i64).unwrap(), Some(content[index]));
        assert_eq!(file.get(index as i64 - len as i64).unwrap(), Some(content[index]));
    }
    for index in [len as i64, i64::MAX, -(len as i64) - 1, i64::MIN] {
        assert_eq!(file.get(index).unwrap(), None);
    }
    assert_eq!(file.slice(..).unwrap(), content);
    assert_eq!(file.slice(-7..-2).unwrap(), content[len - 7..len - 2]);
    assert_eq!(file.slice(100..i64::MAX).unwrap(), content[100..]);
    assert_eq!(file.slice(70_000..70_010).unwrap(), content[70_000..70_010]);
    assert!(file.slice(5..5).unwrap().is_empty() && file.slice(len as i64..).unwrap().is_empty());
    assert!(file.slice(Range { start: 5, end: 4 }).is_err() && file.slice(len as i64 + 1..).is_err());
    assert!(file.iter().map(Result::unwrap).eq(content.iter().copied()));
    assert!((0..len).rev().all(|index| file.get(index as i64).unwrap() == Some(content[index])));

    let mut all = Vec::new();
    assert_eq!(file.read_to_end(&mut all).unwrap(), len);
    assert!(all == *content);
    file.seek(SeekFrom::End(-5)).unwrap();
    assert_eq!(file.fill_buf().unwrap(), &content[len - 5..]);
    let mut other = file.clone();
    assert_eq!((other.stream_position().unwrap(), other.page_size()), (len as u64 - 5, 64 << 10));
    assert_eq!(other.fill_buf().unwrap(), &content[len - 5..]);
    other.rewind().unwrap();
    assert_eq!(file.fill_buf().unwrap(), &content[len - 5..], "each has a position of its own");
    drop(other);
    let mut small = file.with_page_size(std::num::NonZeroUsize::new(100).unwrap());
    small.rewind().unwrap();
    all.clear();
    small.read_to_end(&mut all).unwrap();
    assert!(all == *content);
    assert_eq!(scene.manager.stats().maps, 0);
    assert_eq!(scene.manager.stats().descriptors, 1);
    drop(small);
    assert_eq!(scene.manager.stats().descriptors, 0, "closed");
}

/// `MemoryManagerError`, `RegionCollectionError`: an enum for each kind of operation, and one for all.
#[test]
fn errors_are_of_a_kind_and_of_one() {
    let scene = Scene::new(10);
    let errors: [window_mman::Error; 5] = [
        MapManager::builder().window_size(0).build().unwrap_err().into(),
        scene.manager.open(scene.directory.path()).unwrap_err().into(),
        scene.open().bytes(11..12).unwrap_err().into(),
        scene.stable().view(11..12).unwrap_err().into(),
        scene.open().copy_view(0..10).unwrap().try_copy_to(9, &mut [0; 2]).unwrap_err().into(),
    ];
    for error in errors {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        assert_ne!(std::io::Error::from(error).kind(), std::io::ErrorKind::Other, "{message}");
    }
}

/// Files that were handed over have no name, and are told apart all the same.
#[cfg(unix)]
#[test]
fn regions_tell_whose_they_are() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new(6 * PAGE + 100);
    let other = scene.directory.path().join("other");
    std::fs::write(&other, [1; 77]).unwrap();
    let adopt = |path: &std::path::Path| scene.manager.open_file(std::fs::File::open(path).unwrap()).unwrap();
    let (a, b) = (adopt(&scene.path()), adopt(&other));
    let _views = [a.copy_view(5..6).unwrap(), b.copy_view(5..6).unwrap()];
    let regions = scene.manager.regions();
    let told: Vec<_> = regions.iter().map(|region| (region.device, region.inode, region.file_len)).collect();
    let metadata = [scene.path(), other].map(|path| path.metadata().unwrap());
    assert_eq!(told, metadata.map(|file| (file.dev(), file.ino(), file.len())));
    assert!(regions.iter().all(|region| region.path.is_none()));
}

/// A view of either kind tells whose it is, and a file what it was when it was opened or refreshed.
#[test]
fn views_and_files_tell_what_they_are_of() {
    let scene = Scene::new(6 * PAGE);
    let file = scene.open();
    let view = stable(&file).view(5..9).unwrap();
    let copies = file.copy_view(5..9).unwrap();
    for path in [view.path(), copies.path(), view.slice(1..2).unwrap().path()] {
        assert_eq!(path, Some(scene.path().as_path()));
    }
    assert_eq!((view.slice(1..1).unwrap().path(), copies.slice(1..1).unwrap().path()), (None, None));
    let given = scene.manager.open_file(File::open(scene.path()).unwrap()).unwrap();
    assert_eq!(given.copy_view(5 * PAGE..6 * PAGE).unwrap().path(), None);

    let (state, [info, ..]) = (file.state(), &scene.manager.regions()[..]) else { panic!("it is mapped") };
    assert_eq!((state.device, state.inode, state.len), (info.device, info.inode, 6 * PAGE));
    let modified = || std::fs::metadata(scene.path()).unwrap().modified().unwrap();
    assert_eq!(state.modified, Some(modified()));
    let writer = File::options().write(true).open(scene.path()).unwrap();
    writer.set_len(7 * PAGE).unwrap();
    writer.set_modified(modified() + std::time::Duration::from_secs(77)).unwrap();
    assert_eq!(file.state(), state, "nobody has looked");
    file.refresh().unwrap();
    assert_eq!((file.state().len, file.state().modified), (7 * PAGE, Some(modified())));
    assert_eq!((file.state().device, file.state().inode), (state.device, state.inode));
}

/// What can only be copied out of is sliced and read ahead as a view is.
#[test]
fn copy_views_are_sliced_and_read_ahead() {
    let scene = Scene::new(6 * PAGE + 100);
    let all = scene.open().copy_view(PAGE..u64::MAX).unwrap();
    let part = all.slice(7..3 * PAGE).unwrap();
    part.prefetch().unwrap();
    assert_eq!((part.range(), part.len()), (PAGE + 7..4 * PAGE, 3 * PAGE - 7));
    let mut out = [0; 50];
    part.slice(10..60).unwrap().try_copy_to(0, &mut out).unwrap();
    assert_eq!(out, scene.content[PAGE as usize + 17..][..50]);
    part.try_copy_to(3 * PAGE - 8, &mut out).unwrap_err();
    for beyond in [0..3 * PAGE - 6, Range { start: 5, end: 4 }, u64::MAX - 1..u64::MAX] {
        assert!(part.slice(beyond).is_none());
    }
    drop(all);
    assert_eq!(scene.regions().len(), 1);
    let empty = part.slice(5..5).unwrap();
    drop(part);
    empty.prefetch().unwrap();
    empty.try_copy_to(0, &mut []).unwrap();
    assert_eq!((empty.is_empty(), scene.regions().len()), (true, 0), "it holds nothing");
}

/// A request that ends past the end of the file is a hit in the last window: nothing is asked of the manager for it.
#[test]
fn a_clipped_range_is_a_hit_too() {
    let scene = Scene::new(6 * PAGE + 100);
    let mut cursor = scene.stable().cursor();
    let uses = || scene.manager.regions()[0].uses;
    for (range, expected) in [
        (6 * PAGE..u64::MAX, 6 * PAGE..6 * PAGE + 100),
        (5 * PAGE + 7..6 * PAGE + 101, 5 * PAGE + 7..6 * PAGE + 100),
        (6 * PAGE + 99..7 * PAGE, 6 * PAGE + 99..6 * PAGE + 100),
    ] {
        let bytes = &scene.content[expected.start as usize..expected.end as usize];
        assert_eq!(cursor.use_region(range).unwrap(), bytes);
        assert_eq!((cursor.range(), uses()), (expected, 1));
    }
    let reversed = Range { start: 5 * PAGE, end: 4 * PAGE };
    assert!(matches!(cursor.use_region(reversed), Err(ViewError::Reversed { .. })));
}

/// What the system says about the mapping that has this address: its flags, and how many bytes of it are in the tables
/// of the process.
#[cfg(target_os = "linux")]
fn mapping_at(address: *const u8) -> (Vec<String>, u64) {
    let all = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = all.lines().skip_while(|line| {
        let bounds = line.split(' ').next().and_then(|bounds| bounds.split_once('-'));
        let bounds = bounds.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        !matches!(bounds, Some((Ok(start), Ok(end))) if (start..end).contains(&address.addr()))
    });
    let mut field = |name: &str| lines.find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let resident = field("Rss:").trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    (field("VmFlags:").split(' ').map(str::to_owned).collect(), resident)
}

/// The system has heard it: for what was asked, and nothing beside it.
#[cfg(target_os = "linux")]
#[test]
fn advice_and_population_reach_the_system() {
    let scene = Scene::new(50 * PAGE);
    let file = scene.stable();
    let has = |view: &window_mman::View, flag: &str| mapping_at(view.as_ptr()).0.iter().any(|found| found == flag);
    let all = file.view(0..40 * PAGE).unwrap();
    let part = all.slice(8 * PAGE as usize..16 * PAGE as usize).unwrap();
    let behind = all.slice(16 * PAGE as usize..17 * PAGE as usize).unwrap();
    let mut cursor = file.cursor();
    cursor.use_region(0..40 * PAGE).unwrap();
    for (advice, flag) in [(Advice::Random, "rr"), (Advice::Sequential, "sr")] {
        part.advise(advice).unwrap();
        assert_eq!((has(&part, flag), has(&all, flag), has(&behind, flag)), (true, false, false), "{advice:?}");
        cursor.advise(advice).unwrap();
        assert_eq!((has(&part, flag), has(&all, flag), has(&behind, flag)), (true, true, true), "{advice:?}");
        cursor.advise(Advice::Normal).unwrap();
        assert!(!has(&part, flag) && !has(&all, flag));
    }
    // What can only be copied out of is of the same mapping.
    let copies = file.file().copy_view(0..40 * PAGE).unwrap();
    let copied = copies.slice(8 * PAGE..16 * PAGE).unwrap();
    copied.advise(Advice::Random).unwrap();
    assert_eq!((has(&part, "rr"), has(&all, "rr"), has(&behind, "rr")), (true, false, false));
    copies.advise(Advice::Normal).unwrap();
    assert!(!has(&part, "rr"));

    assert_eq!(mapping_at(all.as_ptr()).1, 0, "nobody has looked at it");
    copied.slice(0..PAGE).unwrap().populate().unwrap();
    assert!(mapping_at(all.as_ptr()).1 >= PAGE);
    part.populate().unwrap();
    assert!(mapping_at(all.as_ptr()).1 >= 8 * PAGE, "these, and what the system adds around them");
    cursor.populate().unwrap();
    assert_eq!(mapping_at(all.as_ptr()).1, 40 * PAGE);
}

/// Hints change nothing but when the disk is asked.
#[test]
fn advice_is_given_and_pages_are_read_ahead() {
    let scene = Scene::new(50 * PAGE + 3);
    let file = scene.stable();
    for range in [0..1, 3..50 * PAGE, 49 * PAGE + 7..50 * PAGE + 3, 5..5] {
        let view = file.view(range.clone()).unwrap();
        for advice in [Advice::Random, Advice::Sequential, Advice::WillNeed, Advice::Normal] {
            view.advise(advice).unwrap();
        }
        view.prefetch().unwrap();
        view.populate().unwrap();
        file.file().prefetch(range.clone()).unwrap();
        assert_eq!(view, scene.content[range.start as usize..range.end as usize]);
    }
    let mut cursor = file.cursor();
    cursor.advise(Advice::Random).unwrap();
    assert_eq!(cursor.use_region(7..9 * PAGE).unwrap(), &scene.content[7..9 * PAGE as usize]);
    cursor.advise(Advice::Sequential).unwrap();
    cursor.prefetch().unwrap();
    cursor.populate().unwrap();
    file.file().prefetch(0..u64::MAX).unwrap();
    assert!(file.file().prefetch(50 * PAGE + 4..50 * PAGE + 5).is_err());
    assert!(file.file().prefetch(Range { start: 5, end: 4 }).is_err());
}
