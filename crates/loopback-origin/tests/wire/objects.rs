//! Objects from files, sparse and changing ones too.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use loopback_origin::{Error, Object, Origin};

use crate::client::{Client, content, get};

const GIB: u64 = 1 << 30;

#[test]
fn a_sparse_file_beyond_two_gib() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let mut file = File::create(&path).unwrap();
    let len = 5 * GIB + 3;
    file.set_len(len).unwrap();
    for at in [3 * GIB - 500, 5 * GIB - 997] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&content(1000)).unwrap();
    }
    let origin = Origin::builder().serve_file("/sparse", &path).unwrap().start().unwrap();
    let mut client = Client::connect(&origin);
    assert_eq!(client.head("/sparse", &[]).promised(), len);

    let range = format!("Range: bytes={}-{}", 3 * GIB - 500, 3 * GIB + 499);
    let reply = client.get("/sparse", &[&range]);
    assert_eq!(reply.status, 206);
    assert_eq!(reply.body, content(1000));
    let total = format!("bytes {}-{}/{len}", 3 * GIB - 500, 3 * GIB + 499);
    assert_eq!(reply.field("Content-Range"), Some(total.as_str()));

    assert_eq!(client.get("/sparse", &["Range: bytes=-1000"]).body, content(1000));
    let last = format!("Range: bytes={}-", len - 1);
    assert_eq!(client.get("/sparse", &[&last]).body, content(1000)[999..]);
    // Several chunks, holes among them.
    let range = format!("Range: bytes={}-{}", 3 * GIB - 2_000_500, 3 * GIB - 1);
    let reply = client.get("/sparse", &[&range]);
    assert!(reply.is_complete());
    assert!(reply.body[..2_000_000].iter().all(|byte| *byte == 0));
    assert_eq!(reply.body[2_000_000..], content(1000)[..500]);

    // The whole of it can be asked for, and broken off.
    client.request("GET", "/sparse", &[]);
    assert_eq!(client.reply_head().promised(), len);
    client.read_exactly(100_000);
}

#[test]
fn a_file_has_validators() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, content(1000)).unwrap();
    let origin = Origin::builder().serve_file("data", &path).unwrap().start().unwrap();
    let reply = get(&origin, "/data", &[]);
    assert_eq!(reply.body, content(1000));
    let etag = format!("If-Match: {}", reply.field("ETag").unwrap());
    let since = format!("If-Unmodified-Since: {}", reply.field("Last-Modified").unwrap());
    assert_eq!(get(&origin, "/data", &[&etag]).status, 200);
    assert_eq!(get(&origin, "/data", &[&since]).status, 200);

    // After a restart it is the same object.
    drop(origin);
    let origin = Origin::builder().serve_file("data", &path).unwrap().start().unwrap();
    assert_eq!(get(&origin, "/data", &[&etag]).status, 200);
}

#[test]
fn a_file_that_grows_keeps_its_length_and_one_that_shrinks_breaks_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, content(1000)).unwrap();
    let origin = Origin::builder().serve_file("/data", &path).unwrap().start().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(2000).unwrap();
    assert_eq!(get(&origin, "/data", &[]).body, content(1000));

    file.set_len(600).unwrap();
    let mut client = Client::connect(&origin);
    let reply = client.get("/data", &[]);
    assert_eq!((reply.promised(), reply.body.len()), (1000, 600));
    assert!(client.is_closed());
    assert_eq!(origin.requests()[1].body_bytes, 600);
}

#[test]
fn a_missing_file_is_an_error_with_its_path() {
    let error = Origin::builder().serve_file("/x", "/no/such/file").unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("file")), "{error}");
}

#[test]
fn an_object_has_its_content_type() {
    let origin = Origin::builder()
        .serve("/text", Object::from_bytes("x").with_content_type("text/plain"))
        .serve_bytes("/bytes", "y")
        .start()
        .unwrap();
    assert_eq!(get(&origin, "/text", &[]).field("Content-Type"), Some("text/plain"));
    let reply = get(&origin, "/bytes", &[]);
    assert_eq!(reply.field("Content-Type"), Some("application/octet-stream"));
}
