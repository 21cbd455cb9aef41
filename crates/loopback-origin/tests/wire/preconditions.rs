//! What the validators of a request do to its answer.

use std::time::{Duration, UNIX_EPOCH};

use loopback_origin::{Object, Origin};

use crate::client::Client;

const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn origin() -> Origin {
    let object = Object::from_bytes("0123456789")
        .with_etag("\"v1\"")
        .with_last_modified(UNIX_EPOCH + Duration::from_secs(784_111_777));
    Origin::builder().serve("/d", object).start().unwrap()
}

#[test]
fn each_precondition_has_its_status() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for (field, status) in [
        ("If-Match: \"v1\"".to_owned(), 206),
        ("If-Match: \"v0\", \"v1\"".to_owned(), 206),
        ("If-Match: *".to_owned(), 206),
        ("If-Match: \"v0\"".to_owned(), 412),
        ("If-Match: W/\"v1\"".to_owned(), 412),
        (format!("If-Unmodified-Since: {SAME}"), 206),
        (format!("If-Unmodified-Since: {BEFORE}"), 412),
        ("If-None-Match: \"v0\"".to_owned(), 206),
        ("If-None-Match: \"v1\"".to_owned(), 304),
        ("If-None-Match: W/\"v1\"".to_owned(), 304),
        ("If-None-Match: *".to_owned(), 304),
        (format!("If-Modified-Since: {SAME}"), 304),
        (format!("If-Modified-Since: {BEFORE}"), 206),
        ("If-Range: \"v1\"".to_owned(), 206),
        ("If-Range: \"v0\"".to_owned(), 200),
        (format!("If-Range: {SAME}"), 206),
        (format!("If-Range: {BEFORE}"), 200),
    ] {
        let reply = client.get("/d", &["Range: bytes=2-4", &field]);
        assert_eq!(reply.status, status, "{field}");
        match status {
            206 => assert_eq!(reply.body, b"234"),
            200 => assert_eq!(reply.body, b"0123456789"),
            304 => {
                assert_eq!(reply.field("ETag"), Some("\"v1\""));
                assert_eq!(reply.field("Content-Length"), None);
            }
            _ => assert_eq!(reply.field("Content-Range"), None),
        }
    }
    // A HEAD has preconditions too.
    assert_eq!(client.head("/d", &["If-Match: \"v0\""]).status, 412);
    assert_eq!(client.head("/d", &["If-None-Match: \"v1\""]).status, 304);
}

#[test]
fn validators_are_sent() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for reply in [client.head("/d", &[]), client.get("/d", &["Range: bytes=0-1"])] {
        assert_eq!(reply.field("ETag"), Some("\"v1\""));
        assert_eq!(reply.field("Last-Modified"), Some(SAME));
        assert!(reply.field("Date").unwrap().ends_with(" GMT"));
    }
    origin.put("/d", Object::from_bytes("x").without_etag());
    let reply = client.get("/d", &[]);
    assert_eq!((reply.field("ETag"), reply.field("Last-Modified")), (None, None));
    assert_eq!(client.get("/d", &["If-Match: \"v1\""]).status, 412);
}

#[test]
fn a_precondition_on_nothing_is_404() {
    let origin = origin();
    assert_eq!(Client::connect(&origin).get("/x", &["If-Match: *"]).status, 404);
}

#[test]
fn a_condition_goes_before_the_range() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/d", &["Range: bytes=90-", "If-Match: \"v0\""]).status, 412);
    assert_eq!(client.get("/d", &["Range: bytes=90-", "If-Match: \"v1\""]).status, 416);
    assert_eq!(client.get("/d", &["Range: bytes=90-", "If-Range: \"v0\""]).status, 200);
}
