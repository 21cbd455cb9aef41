//! Each wrong answer, and the right one after it.

use loopback_origin::{Fault, Object, On, Origin, Times};

use crate::client::{Client, Reply, content, get};

fn origin() -> Origin {
    let object = Object::from_bytes(content(1000)).with_etag("\"v1\"");
    Origin::builder().serve("/d", object).start().unwrap()
}

fn ask(origin: &Origin) -> Reply {
    get(origin, "/d", &["Range: bytes=100-199", "If-Match: \"v1\""])
}

fn assert_right(reply: &Reply) {
    assert_eq!(reply.status, 206);
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/1000"));
    assert_eq!(reply.field("ETag"), Some("\"v1\""));
    assert_eq!(reply.body, content(1000)[100..200]);
}

#[test]
fn full_instead_of_partial() {
    let origin = origin();
    origin.inject(Fault::FullInsteadOfPartial, Times::once());
    let reply = ask(&origin);
    assert_eq!((reply.status, reply.field("Content-Range")), (200, None));
    assert_eq!(reply.body, content(1000));
    assert_right(&ask(&origin));
    assert_eq!(origin.counters().body_bytes, 1100);
    assert_eq!(origin.requests()[0].range, Some(100..200));
}

#[test]
fn short_body() {
    let origin = origin();
    for (missing, sent) in [(1, 99), (100, 0), (u64::MAX, 0), (0, 100)] {
        origin.reset_counters();
        origin.inject(Fault::ShortBody { missing }, Times::once());
        let mut client = Client::connect(&origin);
        let reply = client.get("/d", &["Range: bytes=100-199"]);
        assert_eq!((reply.status, reply.promised()), (206, 100));
        assert_eq!(reply.body, content(1000)[100..100 + sent]);
        assert!(client.is_closed());
        assert_eq!(origin.counters().body_bytes, sent as u64);
    }
    assert_right(&ask(&origin));

    // A HEAD has no body to be short of.
    origin.inject(Fault::ShortBody { missing: 1 }, Times::once().on(On::Head));
    let mut client = Client::connect(&origin);
    assert_eq!(client.head("/d", &[]).promised(), 1000);
    assert!(client.is_closed());
}

#[test]
fn wrong_range() {
    let origin = origin();
    origin.inject(Fault::WrongRange { shift: 50 }, Times::once());
    let reply = ask(&origin);
    assert_eq!((reply.status, reply.promised()), (206, 100));
    assert_eq!(reply.field("Content-Range"), Some("bytes 150-249/1000"));
    assert_eq!(reply.body, content(1000)[150..250]);
    assert_right(&ask(&origin));

    // Beyond the end it goes on from the start; where there is no other range, it is right.
    origin.inject(Fault::WrongRange { shift: 1 }, Times::next(3));
    let reply = get(&origin, "/d", &["Range: bytes=-1"]);
    assert_eq!(reply.field("Content-Range"), Some("bytes 0-0/1000"));
    let reply = get(&origin, "/d", &["Range: bytes=0-"]);
    assert_eq!(reply.field("Content-Range"), Some("bytes 0-999/1000"));
    assert_eq!(get(&origin, "/d", &[]).status, 200);
}

#[test]
fn wrong_total_and_no_content_range() {
    let origin = origin();
    origin.inject(Fault::WrongTotal { total: 7 }, Times::next(2));
    let reply = ask(&origin);
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/7"));
    assert_eq!(reply.body, content(1000)[100..200]);
    let reply = get(&origin, "/d", &["Range: bytes=1000-"]);
    assert_eq!((reply.status, reply.field("Content-Range")), (416, Some("bytes */7")));
    assert_right(&ask(&origin));

    origin.inject(Fault::WrongTotal { total: 7 }, Times::once().on(On::Head));
    assert_eq!(Client::connect(&origin).head("/d", &[]).promised(), 7);
    assert_eq!(Client::connect(&origin).head("/d", &[]).promised(), 1000);

    origin.inject(Fault::NoContentRange, Times::once());
    let reply = ask(&origin);
    assert_eq!((reply.status, reply.field("Content-Range")), (206, None));
    assert_eq!(reply.body, content(1000)[100..200]);
    assert_right(&ask(&origin));
}

#[test]
fn status() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for status in [204, 304, 403, 404, 429, 500, 503, 599] {
        origin.inject(Fault::Status(status), Times::once());
        let reply = client.get("/d", &["Range: bytes=100-199"]);
        assert_eq!(reply.status, status);
        assert_eq!(reply.body.is_empty(), status == 204 || status == 304);
    }
    // The connection survives that.
    assert_right(&client.get("/d", &["Range: bytes=100-199"]));
    assert_eq!(origin.counters().body_bytes, 100);
    assert_eq!(origin.counters().connections, 1);

    // Also where there is no object.
    origin.inject(Fault::Status(503), Times::every().at("/missing"));
    assert_eq!(client.get("/missing", &[]).status, 503);
    assert_eq!(client.get("/d", &[]).status, 200);
    origin.clear_faults();
    assert_eq!(client.get("/missing", &[]).status, 404);
}

#[test]
fn changed_etag() {
    let origin = origin();
    origin.inject(Fault::ChangedEtag, Times::next(2));
    for _ in 0..2 {
        let reply = ask(&origin);
        assert_eq!((reply.status, reply.field("ETag")), (206, Some("\"v1-changed\"")));
        assert_eq!(reply.body, content(1000)[100..200]);
    }
    assert_right(&ask(&origin));
    origin.inject(Fault::ChangedEtag, Times::once().on(On::Head));
    let reply = Client::connect(&origin).head("/d", &[]);
    assert_eq!(reply.field("ETag"), Some("\"v1-changed\""));
}

#[test]
fn weak_and_missing_etags() {
    let origin = origin();
    origin.inject(Fault::WeakEtag, Times::next(2));
    for _ in 0..2 {
        let reply = ask(&origin);
        assert_eq!((reply.status, reply.field("ETag")), (206, Some("W/\"v1\"")));
        assert_eq!(reply.body, content(1000)[100..200]);
    }
    origin.inject(Fault::NoEtag, Times::once());
    let reply = ask(&origin);
    assert_eq!((reply.status, reply.field("ETag")), (206, None));
    assert_right(&ask(&origin));
}

#[test]
fn long_and_empty_bodies() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    origin.inject(Fault::LongBody { extra: 50 }, Times::once());
    let reply = client.get("/d", &["Range: bytes=100-199"]);
    assert_eq!((reply.status, reply.promised()), (206, 150));
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/1000"));
    assert_eq!(reply.body[..100], content(1000)[100..200]);
    assert_eq!(reply.body.len(), 150);

    origin.inject(Fault::EmptyBody, Times::once());
    let reply = client.get("/d", &["Range: bytes=100-199"]);
    assert_eq!((reply.status, reply.promised()), (206, 0));
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/1000"));
    // The connection survives both.
    assert_right(&client.get("/d", &["Range: bytes=100-199"]));
    origin.inject(Fault::EmptyBody, Times::once().at("/missing"));
    assert_eq!(client.get("/missing", &[]).status, 404);
}

#[test]
fn gzip_that_nobody_asked_for() {
    let origin = origin();
    origin.inject(Fault::Gzip, Times::once());
    let reply = ask(&origin);
    assert_eq!((reply.status, reply.field("Content-Encoding")), (206, Some("gzip")));
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/1000"));
    assert_eq!(reply.body[..3], [0x1f, 0x8b, 8]);
    assert_eq!(reply.body[15..115], content(1000)[100..200]);
    assert_right(&ask(&origin));
}

#[test]
fn redirects() {
    let origin = origin();
    origin.put("/elsewhere", Object::from_bytes("moved"));
    let location = origin.url("/elsewhere");
    let redirect = Fault::Redirect { status: 307, location: location.clone() };
    origin.inject(redirect, Times::every().at("/d"));
    let mut client = Client::connect(&origin);
    let reply = client.get("/d", &["Range: bytes=100-199"]);
    assert_eq!((reply.status, reply.field("Location")), (307, Some(location.as_str())));
    assert_eq!(client.get("/elsewhere", &[]).body, b"moved");
    assert_eq!(origin.counters().body_bytes, 5);
}

#[test]
fn a_time_to_come_back() {
    let origin = origin();
    for (status, after) in [(429, "3"), (503, "Wed, 21 Oct 2015 07:28:00 GMT")] {
        origin.inject(Fault::RetryAfter { status, after: after.to_owned() }, Times::once());
        let reply = ask(&origin);
        assert_eq!((reply.status, reply.field("Retry-After")), (status, Some(after)));
    }
    assert_right(&ask(&origin));
}

#[test]
fn a_length_that_cannot_be() {
    let origin = origin();
    origin.inject(Fault::WrongTotal { total: 1 << 63 }, Times::next(2).on(On::Both));
    assert_eq!(Client::connect(&origin).head("/d", &[]).promised(), 1 << 63);
    assert_eq!(ask(&origin).field("Content-Range"), Some("bytes 100-199/9223372036854775808"));
}

#[test]
fn a_mix_hits_some_of_all_requests() {
    let origin = origin();
    origin.inject_random(3, 0.3, &[Fault::Status(503), Fault::NoEtag]);
    let mut client = Client::connect(&origin);
    for at in 0..200 {
        if at % 2 == 0 {
            client.get("/d", &[])
        } else {
            client.head("/d", &[])
        };
    }
    let hit = |fault| origin.requests().iter().filter(|request| request.fault.as_ref() == Some(&fault)).count();
    let hits = [hit(Fault::Status(503)), hit(Fault::NoEtag)];
    assert!(hits.iter().all(|hits| (10..60).contains(hits)), "{hits:?}");
    origin.clear_faults();
    assert_right(&ask(&origin));
}

#[test]
fn a_real_change_is_another_object() {
    let origin = Origin::builder().serve_bytes("/d", content(1000)).start().unwrap();
    let first = get(&origin, "/d", &["Range: bytes=0-9"]);
    let etag = first.field("ETag").unwrap();
    let if_match = format!("If-Match: {etag}");
    assert_eq!(get(&origin, "/d", &["Range: bytes=10-19", &if_match]).status, 206);

    let mut changed = content(1000);
    changed[999] ^= 1;
    origin.put("/d", Object::from_bytes(changed));
    assert_eq!(get(&origin, "/d", &["Range: bytes=10-19", &if_match]).status, 412);
    let second = get(&origin, "/d", &["Range: bytes=10-19"]);
    assert_ne!(second.field("ETag"), Some(etag));

    assert!(origin.remove("/d") && !origin.remove("/d"));
    assert_eq!(get(&origin, "/d", &[]).status, 404);
}

#[test]
fn faults_hit_get_unless_told_otherwise() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    origin.inject(Fault::Status(500), Times::every());
    assert_eq!(client.head("/d", &[]).status, 200);
    assert_eq!(client.get("/d", &[]).status, 500);
    origin.clear_faults();
    origin.inject(Fault::Status(500), Times::next(2).on(On::Both).after(1));
    assert_eq!(client.head("/d", &[]).status, 200);
    assert_eq!(client.head("/d", &[]).status, 500);
    assert_eq!(client.get("/d", &[]).status, 500);
    assert_eq!(client.get("/d", &[]).status, 200);
}
