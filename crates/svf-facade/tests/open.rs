//! `svf::open` and `svf::Stack`: one line for remote and local files alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::io::{BufRead, Read, Seek, SeekFrom};

use svf::Stack;
use svf::page_cache::{OriginError, ReadError};

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Everything that a file can do, remote or local.
fn read_every_way(mut file: svf::File, bytes: &[u8]) {
    let len = bytes.len() as u64;
    assert_eq!(file.len(), len);
    assert!(!file.is_empty());
    assert_eq!(file.read_range(10..20).unwrap(), bytes[10..20]);
    assert_eq!(file.read_range(len - 1..u64::MAX).unwrap(), bytes[bytes.len() - 1..]);
    assert!(file.read_range(len + 1..len + 2).is_err());
    let mut buf = [0; 100];
    assert_eq!(file.read_at(&mut buf, len - 50).unwrap(), 50);
    assert_eq!(buf[..50], bytes[bytes.len() - 50..]);
    assert!(file.read_at(&mut buf, len + 1).is_err());

    assert_eq!(file.stream_position().unwrap(), 0, "reads at an offset do not move the position");
    file.read_exact(&mut buf).unwrap();
    assert_eq!(buf, bytes[..100]);
    assert_eq!(file.seek(SeekFrom::End(-30)).unwrap(), len - 30);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, bytes[bytes.len() - 30..]);
    assert_eq!(file.seek(SeekFrom::Current(-10)).unwrap(), len - 10);
    assert_eq!(file.fill_buf().unwrap()[0], bytes[bytes.len() - 10]);
    assert!(file.seek(SeekFrom::Current(i64::MIN)).is_err());
    assert_eq!(file.stream_position().unwrap(), len - 10);
    file.seek(SeekFrom::Start(len + 5)).unwrap();
    assert_eq!(file.read(&mut buf).unwrap(), 0);
}

#[test]
fn a_local_file_is_read_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let bytes = pattern(100_000);
    std::fs::write(&path, &bytes).unwrap();
    let file = svf::open(path.to_str().unwrap()).unwrap();
    assert!(file.as_cached().is_none());
    assert_eq!(file.as_mapped().unwrap().len(), 100_000);
    read_every_way(file, &bytes);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was made beside it");
    let error = svf::open(directory.path().join("absent").to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

#[cfg(feature = "http")]
#[test]
fn a_url_is_read_through_the_cache() {
    let bytes = pattern(500_000);
    let server = loopback_origin::Origin::builder().serve_bytes("/a", bytes.clone()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::builder().cache_dir(directory.path().join("cache")).page_size(4096).build();
    read_every_way(stack.open(server.url("/a")).unwrap(), &bytes);
    let fetched = server.counters();
    let file = stack.open(server.url("/a")).unwrap();
    assert_eq!(file.as_cached().unwrap().page_size(), Some(4096));
    read_every_way(file, &bytes);
    assert_eq!(server.counters(), fetched, "the second handle sent requests");
}

#[cfg(feature = "http")]
#[test]
fn errors_come_from_the_layer_that_has_them() {
    let server = loopback_origin::Origin::builder().serve_bytes("/a", pattern(10)).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::builder().cache_dir(directory.path().join("cache")).build();
    let error = stack.open(server.url("/absent")).unwrap_err();
    assert!(matches!(error, svf::Error::Origin(OriginError::NotFound { .. })), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotFound);
    let error = stack.open(server.url("/a")).unwrap().read_range(11..12).unwrap_err();
    assert!(matches!(error, svf::Error::Read(ReadError::PastEnd { .. })), "{error}");
    let error = Stack::builder().cache_dir("/dev/null/x").build().open(server.url("/a")).unwrap_err();
    assert!(matches!(error, svf::Error::Cache(_)), "{error}");
    let error = Stack::builder().page_size(5).cache_dir(directory.path()).build().cache().unwrap_err();
    assert!(matches!(error, svf::Error::Cache(_)), "{error}");
}

#[test]
fn any_origin_is_read_through_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("on a slow mount");
    let bytes = pattern(100_000);
    std::fs::write(&path, &bytes).unwrap();
    let stack = Stack::builder().cache_dir(directory.path().join("cache")).build();
    let file = stack.open_origin(svf::page_cache::LocalFile::new(&path).unwrap()).unwrap();
    assert!(file.as_mapped().is_none());
    read_every_way(file, &bytes);
}

#[test]
fn a_scheme_that_this_build_cannot_read() {
    let error = Stack::default().open("gopher://host/a").unwrap_err();
    assert!(matches!(&error, svf::Error::UnsupportedScheme { scheme, .. } if scheme == "gopher"), "{error}");
}

#[test]
fn a_file_url_is_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b");
    let bytes = pattern(100_000);
    std::fs::write(&path, &bytes).unwrap();
    let url = format!("file://{}", path.to_str().unwrap().replace(' ', "%20"));
    assert!(svf::is_local(&url) && svf::is_local("/a") && !svf::is_local("http://host/a"));
    let file = svf::open(&url).unwrap();
    assert!(file.as_cached().is_none());
    read_every_way(file, &bytes);
    assert!(svf::open("file://host/a").unwrap_err().to_string().contains("file:///path"));
}

#[cfg(feature = "aws")]
#[test]
fn an_object_in_s3_is_read_through_the_cache() {
    let bytes = pattern(100_000);
    let server = loopback_origin::Origin::builder().serve_bytes("/bucket/a", bytes.clone()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::builder().cache_dir(directory.path().join("cache")).build();
    let endpoint = server.url("");
    let options = [("endpoint", endpoint.as_str()), ("allow_http", "true"), ("skip_signature", "true")];
    let origin = svf::page_cache::UrlOrigin::with_options("s3://bucket/a", options).unwrap();
    read_every_way(stack.open_origin(origin).unwrap(), &bytes);
    assert!(matches!(svf::open("s3://bucket").unwrap_err(), svf::Error::Origin(OriginError::InvalidUrl { .. })));
}

/// What says how much is stored, and of what, is handed on to the cache.
#[test]
fn the_limits_of_a_stack_are_those_of_its_cache() {
    use svf::page_cache::{FnOrigin, Stat, Validators, WhenFull};
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::builder().cache_dir(directory.path()).max_bytes(4 << 20).when_full(WhenFull::Stop);
    let stack = stack.admit(|read| read.key != "refused").build();
    let open = |key: &str| {
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let stat = Stat { length: 8 << 20, validators };
        let ones = FnOrigin::new(key, stat, |range| Ok(vec![1; (range.end - range.start) as usize].into()));
        stack.open_origin(ones).unwrap()
    };
    let held = |file: &svf::File| file.as_cached().unwrap().held().num_bytes();
    let refused = open("refused");
    refused.read_range(0..1 << 20).unwrap();
    assert_eq!(held(&refused), 0);
    let first = open("first");
    first.read_range(0..8 << 20).unwrap();
    let (before, second) = (held(&first), open("second"));
    second.read_range(0..8 << 20).unwrap();
    assert!(before > 3 << 20 && held(&first) == before, "nothing goes for what is new");
    assert_eq!(stack.cache().unwrap().usage().max_bytes, 4 << 20);
}

/// Options reach the origin of a URL, and are not shown; local files are mapped by the manager that was given.
#[cfg(feature = "http")]
#[test]
fn a_stack_has_options_for_its_origins_and_its_mappings() {
    let server = loopback_origin::Origin::builder().serve_bytes("/a", pattern(100_000)).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let with = |name: &str, value: &str| {
        Stack::builder().cache_dir(directory.path().join("cache")).origin_options([(name, value)]).build()
    };
    let error = with("no_such_option", "hunter2").open(server.url("/a")).unwrap_err();
    assert!(error.to_string().contains("no_such_option") && !error.to_string().contains("hunter2"), "{error}");
    let shown = format!("{:?}", with("default_headers", "hunter2"));
    assert!(shown.contains("default_headers") && !shown.contains("hunter2"), "{shown}");
    let impatient = Stack::builder().cache_dir(directory.path().join("cache")).origin_options([("timeout", "200ms")]);
    let impatient = impatient.retry(svf::page_cache::RetryPolicy::never()).build();
    server.set_delay(std::time::Duration::from_secs(20));
    let start = std::time::Instant::now();
    assert!(impatient.open(server.url("/a")).is_err());
    assert!(start.elapsed() < std::time::Duration::from_secs(15), "the time limit was not heard");

    let manager = svf::window_mman::MapManager::builder().max_mapped_bytes(1 << 20).build().unwrap();
    let stack = Stack::builder().map_manager(manager.clone()).build();
    assert_eq!(stack.map_manager().max_mapped_bytes(), 1 << 20);
    let path = directory.path().join("file");
    std::fs::write(&path, pattern(100_000)).unwrap();
    let file = stack.open(path.to_str().unwrap()).unwrap();
    assert_eq!(manager.stats().open_files, 1);
    read_every_way(file, &pattern(100_000));
}

#[cfg(feature = "aws")]
#[test]
fn a_stack_with_options_opens_buckets() {
    let bytes = pattern(100_000);
    let server = loopback_origin::Origin::builder().serve_bytes("/bucket/a", bytes.clone()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let endpoint = server.url("");
    let options = [("endpoint", endpoint.as_str()), ("allow_http", "true"), ("skip_signature", "true")];
    let stack = Stack::builder().cache_dir(directory.path().join("cache")).origin_options(options).build();
    read_every_way(stack.open("s3://bucket/a").unwrap(), &bytes);
}
