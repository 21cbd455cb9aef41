//! Which bytes come for which `Range`.

use loopback_origin::Origin;

use crate::client::{Client, content, get};

#[test]
fn every_form_of_one_range() {
    let data = content(1000);
    let origin = Origin::builder().serve_bytes("/d", data.clone()).start().unwrap();
    let mut client = Client::connect(&origin);
    for (range, bytes, content_range) in [
        ("0-0", 0..1, "bytes 0-0/1000"),
        ("0-99", 0..100, "bytes 0-99/1000"),
        ("500-501", 500..502, "bytes 500-501/1000"),
        ("999-999", 999..1000, "bytes 999-999/1000"),
        ("999-", 999..1000, "bytes 999-999/1000"),
        ("0-", 0..1000, "bytes 0-999/1000"),
        ("250-", 250..1000, "bytes 250-999/1000"),
        ("-1", 999..1000, "bytes 999-999/1000"),
        ("-300", 700..1000, "bytes 700-999/1000"),
        ("-5000", 0..1000, "bytes 0-999/1000"),
        ("990-2000", 990..1000, "bytes 990-999/1000"),
        ("0-99999999999999999999999999", 0..1000, "bytes 0-999/1000"),
    ] {
        let reply = client.get("/d", &[&format!("Range: bytes={range}")]);
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.field("Content-Range"), Some(content_range), "{range}");
        assert_eq!(reply.field("Accept-Ranges"), Some("bytes"));
        assert_eq!(reply.body, data[bytes], "{range}");
        assert!(reply.is_complete());
    }
}

#[test]
fn what_lies_outside_is_416() {
    let origin = Origin::builder().serve_bytes("/d", content(1000)).start().unwrap();
    let mut client = Client::connect(&origin);
    for range in ["1000-", "1000-1000", "5000-6000", "99999999999999999999999-", "-0"] {
        let reply = client.get("/d", &[&format!("Range: bytes={range}")]);
        assert_eq!(reply.status, 416, "{range}");
        assert_eq!(reply.field("Content-Range"), Some("bytes */1000"));
        assert_eq!(reply.field("ETag"), None);
    }
}

#[test]
fn what_is_malformed_or_several_gives_the_whole() {
    let data = content(1000);
    let origin = Origin::builder().serve_bytes("/d", data.clone()).start().unwrap();
    let mut client = Client::connect(&origin);
    for range in ["bytes=5-2", "bytes=0-1,5-6", "bytes=", "bytes=x-y", "items=0-1", "bytes=-"] {
        let reply = client.get("/d", &[&format!("Range: {range}")]);
        assert_eq!(reply.status, 200, "{range}");
        assert_eq!(reply.field("Content-Range"), None);
        assert_eq!(reply.body, data);
    }
    let reply = client.get("/d", &["Range: bytes=0-1", "Range: bytes=5-6"]);
    assert_eq!((reply.status, reply.body), (200, data));
}

#[test]
fn an_empty_object_has_no_ranges() {
    let origin = Origin::builder().serve_bytes("/empty", Vec::new()).start().unwrap();
    let mut client = Client::connect(&origin);
    for (fields, status) in [
        (&[][..], 200),
        (&["Range: bytes=0-"], 416),
        (&["Range: bytes=0-0"], 416),
        (&["Range: bytes=-0"], 416),
        (&["Range: bytes=-1"], 200),
    ] {
        let reply = client.get("/empty", fields);
        assert_eq!(reply.status, status, "{fields:?}");
        if status == 200 {
            assert_eq!(reply.promised(), 0);
        } else {
            assert_eq!(reply.field("Content-Range"), Some("bytes */0"));
        }
    }
    assert_eq!(client.head("/empty", &[]).promised(), 0);
}

#[test]
fn head_knows_no_ranges() {
    let origin = Origin::builder().serve_bytes("/d", content(1000)).start().unwrap();
    let mut client = Client::connect(&origin);
    for fields in [&[][..], &["Range: bytes=0-9"], &["Range: bytes=5000-"]] {
        let reply = client.head("/d", fields);
        assert_eq!((reply.status, reply.promised()), (200, 1000));
        assert_eq!(reply.field("Content-Range"), None);
        assert_eq!(reply.field("Accept-Ranges"), Some("bytes"));
    }
    // No body came in between: the connection is still in step.
    assert_eq!(client.get("/d", &["Range: bytes=-4"]).body, content(1000)[996..]);
}

#[test]
fn a_large_body_comes_whole() {
    let data = content(3_000_001);
    let origin = Origin::builder().serve_bytes("/d", data.clone()).start().unwrap();
    assert!(get(&origin, "/d", &[]).body == data);
    let reply = get(&origin, "/d", &["Range: bytes=1-2999999"]);
    assert!(reply.body == data[1..3_000_000]);
}
