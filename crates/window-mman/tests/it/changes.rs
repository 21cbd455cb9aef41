//! Files that are deleted, truncated, grown or replaced while they are open.

use std::fs::File;
use std::io::Write;

use window_mman::{Change, CopyError, ReadError, ReopenError, ViewError};

use crate::common::{PAGE, Scene, content, stable};

fn append(scene: &Scene, bytes: &[u8]) {
    File::options().append(true).open(scene.path()).unwrap().write_all(bytes).unwrap();
}

/// Makes the manager close the descriptor of everything but a file of its own.
fn close_descriptors(scene: &Scene) {
    let other = scene.directory.path().join("other");
    std::fs::write(&other, b"other").unwrap();
    scene.manager.open(&other).unwrap();
    scene.manager.open(&other).unwrap().bytes(0..1).unwrap();
}

#[test]
fn growth_is_seen_when_it_is_looked_for() {
    let scene = Scene::new(10 * PAGE);
    let file = scene.open();
    let promised = stable(&file);
    append(&scene, b"more");
    assert_eq!(file.len(), 10 * PAGE);
    assert_eq!(file.refresh().unwrap(), Change::Grown);
    assert_eq!(file.clone().len(), 10 * PAGE + 4);
    assert_eq!(file.bytes(10 * PAGE..u64::MAX).unwrap(), &b"more"[..]);
    assert_eq!(promised.len(), 10 * PAGE, "what was promised was promised");
    let grown = stable(&file);
    assert_eq!(grown.view(10 * PAGE - 1..u64::MAX).unwrap()[1..], *b"more");
    assert_eq!(promised.view(10 * PAGE - 1..u64::MAX).unwrap().len(), 1);
    assert_eq!(file.refresh().unwrap(), Change::Unchanged);
}

#[test]
fn writing_in_place_is_seen_when_it_is_looked_for() {
    let scene = Scene::new(PAGE);
    let file = scene.open();
    let writer = File::options().write(true).open(scene.path()).unwrap();
    writer.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(file.refresh().unwrap(), Change::Modified);
    assert_eq!(file.refresh().unwrap(), Change::Unchanged);
}

#[test]
fn a_shorter_file_is_an_error_that_names_both_lengths() {
    let scene = Scene::new(10 * PAGE);
    let file = scene.open();
    File::options().write(true).open(scene.path()).unwrap().set_len(5).unwrap();
    let error = file.refresh().unwrap_err();
    assert!(matches!(error, ReadError::Truncated { opened_with: 40_960, now: 5, .. }), "{error:?}");
    assert_eq!(file.len(), 10 * PAGE);
    assert_eq!(file.bytes(0..5).unwrap(), scene.content[..5]);
    assert!(matches!(stable(&file).view(0..1), Err(ViewError::Truncated { now: 5, .. })));
}

/// Two inodes, one name: the handle reads the old one for as long as it is open, and never a byte of the new one.
#[test]
fn a_replaced_file_is_never_mixed_with_the_new_one() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let old = scene.stable();
    let view = old.view(0..9).unwrap();
    let new = scene.directory.path().join("new");
    std::fs::write(&new, content(2, 10 * PAGE)).unwrap();
    std::fs::rename(&new, scene.path()).unwrap();

    assert_eq!(old.file().bytes(5 * PAGE..6 * PAGE).unwrap(), scene.content[5 * PAGE as usize..6 * PAGE as usize]);
    let error = old.file().refresh().unwrap_err();
    let ReadError::Replaced { was, now, .. } = &error else { panic!("{error:?}") };
    assert_ne!(was.inode, now.inode);
    let message = error.to_string();
    for part in [was.inode, now.inode] {
        assert!(message.contains(&part.to_string()), "{message}");
    }

    let fresh = scene.stable();
    assert_eq!(fresh.view(0..9).unwrap(), content(2, 9));
    assert_eq!(view, scene.content[..9]);
    assert_eq!(old.view(20..30).unwrap(), scene.content[20..30], "mapped, so it needs no descriptor");

    // The descriptor was closed for the fresh one: what is mapped anew would be of another inode.
    close_descriptors(&scene);
    let error = old.view(5 * PAGE..5 * PAGE + 1).unwrap_err();
    assert!(matches!(&error, ViewError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
    let error = old.file().bytes(0..5).unwrap_err();
    assert!(matches!(&error, ReadError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
    assert!(error.to_string().contains("open it again"), "{error}");
    assert_eq!(fresh.file().bytes(0..5).unwrap(), content(2, 5));
}

/// The error says what can be done, and nothing that cannot.
#[test]
fn a_replaced_file_that_is_closed_is_not_said_to_be_readable() {
    let scene = Scene::with(PAGE, |builder| builder.max_open_files(1));
    let file = scene.open();
    std::fs::rename(scene.path(), scene.directory.path().join("moved")).unwrap();
    std::fs::write(scene.path(), content(2, PAGE)).unwrap();
    let error = file.refresh().unwrap_err();
    assert!(matches!(error, ReadError::Replaced { .. }), "{error:?}");
    assert!(error.to_string().contains("as long as its descriptor is open"), "{error}");
    assert_eq!(file.bytes(0..9).unwrap(), scene.content[..9]);

    close_descriptors(&scene);
    assert!(file.bytes(0..9).is_err());
    let error = file.refresh().unwrap_err();
    assert!(matches!(&error, ReadError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
    assert!(!error.to_string().contains("can still be read"), "{error}");
}

/// The inode of a deleted file is given to the next one, and even its length may be the same.
#[test]
fn a_new_file_with_an_old_inode_is_another_file() {
    let scene = Scene::with(PAGE, |builder| builder.max_open_files(1));
    for round in 2..20 {
        std::fs::write(scene.path(), content(1, PAGE)).unwrap();
        let file = scene.open();
        assert_eq!(file.bytes(0..PAGE).unwrap(), scene.content);
        close_descriptors(&scene);
        std::fs::remove_file(scene.path()).unwrap();
        std::fs::write(scene.path(), content(round, PAGE)).unwrap();
        let error = file.bytes(0..PAGE).unwrap_err();
        assert!(matches!(&error, ReadError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
        let fresh = scene.stable();
        assert_eq!(fresh.view(0..PAGE).unwrap(), content(round, PAGE));
        assert!(file.bytes(0..PAGE).is_err());
        std::fs::remove_file(scene.path()).unwrap();
    }
}

#[test]
fn a_deleted_file_is_readable_while_it_is_open_and_an_error_that_says_so_after() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let file = scene.open();
    std::fs::remove_file(scene.path()).unwrap();
    assert_eq!(file.bytes(0..5).unwrap(), scene.content[..5]);
    assert_eq!(file.refresh().unwrap(), Change::Unchanged);
    close_descriptors(&scene);
    let error = file.bytes(0..5).unwrap_err();
    assert!(matches!(&error, ReadError::Reopen { source: ReopenError::Io { .. }, .. }), "{error:?}");
    assert!(error.to_string().contains("max_open_files"), "{error}");
    assert!(file.refresh().is_err());
}

#[test]
fn a_file_that_was_handed_over_is_never_closed() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let file = scene.manager.open_file(File::open(scene.path()).unwrap()).unwrap();
    std::fs::remove_file(scene.path()).unwrap();
    for _ in 0..3 {
        close_descriptors(&scene);
        assert_eq!(file.bytes(0..5).unwrap(), scene.content[..5]);
    }
    let view = stable(&file).view(20..30).unwrap();
    drop(file);
    assert_eq!(view, scene.content[20..30]);
    let mut out = [0; 5];
    view.try_copy_to(5, &mut out).unwrap();
    assert_eq!(out, scene.content[25..30]);
}

/// Closed and opened again, it is the same file, also by a relative path from another directory.
#[test]
fn descriptors_are_closed_and_opened_again() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let file = scene.stable();
    for offset in 0..5 {
        close_descriptors(&scene);
        assert_eq!(scene.manager.stats().descriptors, 0);
        assert_eq!(file.file().bytes(offset..9).unwrap(), scene.content[offset as usize..9]);
        close_descriptors(&scene);
        assert_eq!(
            file.view(offset * 4 * PAGE / 2..u64::MAX).unwrap()[..9],
            scene.content[(offset * 2 * PAGE) as usize..][..9]
        );
        append(&scene, b"growth is no other file");
    }
}

/// A growing file under a promise of what was there: appending breaks nothing.
#[test]
fn views_stay_while_the_file_grows() {
    let scene = Scene::new(10 * PAGE - 100);
    let file = scene.stable();
    let view = file.view(0..u64::MAX).unwrap();
    append(&scene, &[0xFF; 5000]);
    assert_eq!(view, scene.content);
    assert_eq!(file.view(9 * PAGE..u64::MAX).unwrap(), scene.content[9 * PAGE as usize..]);
}

/// Whoever of the two goes first: the one opened by its path, or the one that was handed over.
#[test]
fn a_descriptor_goes_with_its_last_user() {
    let scene = Scene::new(PAGE);
    for named_first in [true, false] {
        let mut named = Some(scene.open());
        let mut adopted = Some(scene.manager.open_file(File::open(scene.path()).unwrap()).unwrap());
        if named_first {
            named = None;
        } else {
            adopted = None;
        }
        assert_eq!(scene.manager.stats().descriptors, 1, "that of the other one");
        drop((named, adopted));
        let stats = scene.manager.stats();
        assert_eq!((stats.open_files, stats.descriptors), (0, 0));
    }
}

/// Where copies are made by reading, what they are made of keeps the file open.
#[test]
fn a_copy_by_reading_outlives_its_file() {
    let scene = Scene::with(10 * PAGE, |builder| builder.fault_recovery(false));
    let adopted = scene.manager.open_file(File::open(scene.path()).unwrap()).unwrap();
    let named = scene.open();
    // The region is the same, and each copies by the file it was asked of.
    let views = [adopted.copy_view(0..PAGE).unwrap(), named.copy_view(0..PAGE).unwrap()];
    drop((adopted, named));
    for view in &views {
        let mut copy = [0; 100];
        view.try_copy_to(7, &mut copy).unwrap();
        assert_eq!(copy, scene.content[7..107]);
    }
    drop(views);
    let stats = scene.manager.stats();
    assert_eq!((stats.open_files, stats.descriptors, stats.mapped_regions), (0, 0, 0));
}

#[test]
fn a_copy_by_reading_says_why_its_file_cannot_be_opened_again() {
    let scene = Scene::with(10 * PAGE, |builder| builder.fault_recovery(false).max_open_files(1));
    let view = scene.open().copy_view(0..PAGE).unwrap();
    std::fs::remove_file(scene.path()).unwrap();
    close_descriptors(&scene);
    let error = view.try_copy_to(0, &mut [0; 8]).unwrap_err();
    assert!(matches!(error, CopyError::Reopen { source: ReopenError::Io { .. }, .. }), "{error:?}");
    assert!(error.to_string().contains("max_open_files"), "{error}");
}

/// A file that has two names lives as long as one of them does.
#[test]
fn a_file_is_opened_again_by_any_of_its_names() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let below = scene.directory.path().join("below");
    std::fs::create_dir(&below).unwrap();
    std::fs::hard_link(scene.path(), below.join("second")).unwrap();
    let first = scene.open();
    let second = scene.manager.open(below.join("second")).unwrap();
    stable(&second).view(0..1).unwrap();
    assert_eq!(scene.manager.unmap_under(&below).unmapped_regions, 1);
    stable(&second).view(0..1).unwrap();
    drop(first);
    assert_eq!(scene.manager.regions()[0].path.as_deref(), Some(below.join("second").as_path()));
    assert_eq!(scene.manager.unmap_under(scene.path()).unmapped_regions, 0, "nobody has it open by that name");
    std::fs::remove_file(scene.path()).unwrap();
    close_descriptors(&scene);
    assert_eq!(second.bytes(0..9).unwrap(), scene.content[..9]);
    // Also while somebody still has it open by the name that is gone.
    std::fs::rename(below.join("second"), scene.path()).unwrap();
    let first = scene.open();
    std::fs::hard_link(scene.path(), below.join("third")).unwrap();
    let third = scene.manager.open(below.join("third")).unwrap();
    std::fs::write(below.join("other"), b"other").unwrap();
    std::fs::rename(below.join("other"), scene.path()).unwrap();
    close_descriptors(&scene);
    assert_eq!(third.bytes(0..9).unwrap(), scene.content[..9]);
    assert_eq!(first.bytes(0..9).unwrap(), scene.content[..9]);
}

/// What was replaced before anything could be mapped: the error is that of the path, and not of the mapping.
#[test]
fn a_promise_about_a_replaced_file_is_refused_with_the_reason() {
    let scene = Scene::with(10 * PAGE, |builder| builder.max_open_files(1));
    let file = scene.open();
    std::fs::write(scene.directory.path().join("new"), b"new").unwrap();
    std::fs::rename(scene.directory.path().join("new"), scene.path()).unwrap();
    close_descriptors(&scene);
    let error = stable(&file).view(0..1).unwrap_err();
    assert!(matches!(error, ViewError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
}

/// Looking at a file again opens nothing that is not a file, and nothing at all if its descriptor is open.
#[test]
fn looking_again_opens_nothing_else() {
    let scene = Scene::with(PAGE, |builder| builder.max_open_files(1));
    let file = scene.open();
    let opens = scene.manager.stats().opens;
    assert_eq!(file.refresh().unwrap(), Change::Unchanged);
    assert_eq!(scene.manager.stats().opens, opens);
    std::fs::remove_file(scene.path()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(scene.path()).status().unwrap().success());
    let error = file.refresh().unwrap_err();
    assert!(matches!(error, ReadError::Replaced { .. }), "{error:?}");
    assert_eq!(file.bytes(0..9).unwrap(), scene.content[..9], "the old one is still open");
    close_descriptors(&scene);
    let error = file.bytes(0..9).unwrap_err();
    assert!(matches!(error, ReadError::Reopen { source: ReopenError::Replaced { .. }, .. }), "{error:?}");
}
