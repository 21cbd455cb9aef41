//! Building a manager.

use std::io::ErrorKind;

use window_mman::{BuildError, Error, MapManager};

#[test]
fn the_default_window_is_a_mebibyte() {
    assert_eq!(MapManager::new().window_size(), 1 << 20);
    assert_eq!(MapManager::default().window_size(), 1 << 20);
    let built = MapManager::builder().build().unwrap();
    assert_eq!(built.window_size(), 1 << 20);
}

#[test]
fn window_sizes_are_rounded_up_to_what_can_be_mapped() {
    let build = |size| {
        let manager = MapManager::builder().window_size(size).build().unwrap();
        manager.window_size()
    };
    let unit = build(1);
    assert!(unit.is_power_of_two() && unit >= 4096);
    assert_eq!(build(unit), unit);
    assert_eq!(build(unit + 1), 2 * unit);
    assert_eq!(build(10 * unit - 1), 10 * unit);
}

#[test]
fn window_sizes_that_cannot_be_are_refused() {
    let error = MapManager::builder().window_size(0).build().unwrap_err();
    assert!(matches!(error, BuildError::WindowIsEmpty), "{error:?}");
    assert!(error.to_string().contains("at least 1"));
    for size in [u64::MAX, isize::MAX as u64, 1 << 63] {
        let error = MapManager::builder().window_size(size).build().unwrap_err();
        assert!(matches!(error, BuildError::WindowTooLarge { requested, .. } if requested == size), "{error:?}");
        let error = std::io::Error::from(Error::from(error));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn limits_that_allow_nothing_are_refused() {
    let error = MapManager::builder().max_mapped_bytes((1 << 20) - 1).build().unwrap_err();
    assert!(matches!(error, BuildError::LimitBelowWindow { limit: 1_048_575, window_size: 1_048_576 }), "{error:?}");
    assert!(error.to_string().contains("raise `max_mapped_bytes`"), "{error}");
    assert!(MapManager::builder().max_mapped_bytes(1 << 20).build().is_ok());
    for (builder, limit) in [
        (MapManager::builder().max_regions(0), "max_regions"),
        (MapManager::builder().max_open_files(0), "max_open_files"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(limit) && error.contains("at least 1"), "{error}");
    }
    // A window above the limit that is the default raises it.
    let manager = MapManager::builder().window_size(1 << 40).build();
    assert!(manager.is_ok_and(|manager| manager.max_mapped_bytes() >= 1 << 40));
}

/// One window for whole files.
#[test]
fn the_largest_window_works() {
    let largest = isize::MAX as u64 / 65_536 * 65_536;
    let manager = MapManager::builder().window_size(largest).build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, [3; 100_000]).unwrap();
    // SAFETY: nobody else knows this file, and this test does not write to it any more.
    let file = unsafe { manager.open(path).unwrap().assume_stable() };
    let views = (file.view(0..1).unwrap(), file.view(90_000..90_001).unwrap());
    assert_eq!(views.0, views.1);
    assert_eq!(manager.stats().mapped_bytes, 100_000);
    assert_eq!(manager.stats().mapped_regions, 1);
}
