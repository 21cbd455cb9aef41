//! Wrong answers: which there are, when they are given, and how each differs from the right one.

use std::ops::Range;
use std::sync::Arc;

use crate::answer::answer;
use crate::object::Object;
use crate::path;
use crate::request::{Method, RequestHead};
use crate::response::{Response, Step};

/// A way to answer wrongly; see [`Origin::inject`](crate::Origin::inject).
///
/// A fault changes what it names and nothing else: the rest of the answer is the right one. Where
/// it has nothing to change (a range fault on a request without a range, or on one that is answered
/// 404), the answer is the right one altogether.
///
/// A change of the object itself is no fault: [`Origin::put`](crate::Origin::put) another object at
/// the path. From then on the new bytes come with a new ETag, and a request whose `If-Match` names
/// the old one is answered 412.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers a range request with 200 and the whole object, as a server does that knows no
    /// ranges.
    FullInsteadOfPartial,
    /// Ends the connection when the last `missing` bytes of the body are still to come, although
    /// `Content-Length` has promised them. If the body has no more than that, none of it comes.
    ShortBody {
        /// How many bytes do not come.
        missing: u64,
    },
    /// Answers a range request with another range of the same length, which `Content-Range` names
    /// truthfully. Where the object ends it goes on from the object's start; a range as long as the
    /// object has no other, and is answered rightly.
    WrongRange {
        /// How many bytes further on the range lies.
        shift: u64,
    },
    /// Answers a range request with 206 or 416 whose `Content-Range` states another length of the
    /// object, and a HEAD with another `Content-Length`.
    WrongTotal {
        /// The length stated, in bytes.
        total: u64,
    },
    /// Answers a range request with a 206 that does not say which range it is.
    NoContentRange,
    /// Answers with this status and a short text, instead of the object. Sensible from 200 on.
    Status(u16),
    /// Answers with another ETag than the object has, ignoring `If-Match`; the bytes are the right
    /// ones. The other ETag is the same in each such answer about one object.
    ChangedEtag,
}

/// Which requests a fault hits: how many, after how many, of which method and path.
///
/// By default that is GET requests for any path, whether or not they have a range.
///
/// ```
/// use loopback_origin::{On, Times};
///
/// let third_only = Times::once().after(2);
/// let every_head = Times::every().on(On::Head);
/// let five_for_one_object = Times::next(5).at("/data.bin");
/// # let _ = (third_only, every_head, five_for_one_object);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// How many more matching requests go unharmed.
    skip: u64,
    /// How many more are hit; `None` for all.
    left: Option<u64>,
    on: On,
    path: Option<String>,
}

/// The methods that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// GET requests only, as by default.
    Get,
    /// HEAD requests only.
    Head,
    /// GET and HEAD requests.
    Both,
}

impl Times {
    /// The next matching request.
    #[must_use]
    pub fn once() -> Times {
        Times::next(1)
    }

    /// The next `count` matching requests.
    #[must_use]
    pub fn next(count: u64) -> Times {
        Times { left: Some(count), ..Times::every() }
    }

    /// All matching requests, until [`clear_faults`](crate::Origin::clear_faults).
    #[must_use]
    pub fn every() -> Times {
        Times { skip: 0, left: None, on: On::Get, path: None }
    }

    /// Lets the first `skipped` matching requests go unharmed.
    #[must_use = "this takes the times and gives them back changed"]
    pub fn after(mut self, skipped: u64) -> Times {
        self.skip = skipped;
        self
    }

    /// Matches requests with other methods than GET.
    #[must_use = "this takes the times and gives them back changed"]
    pub fn on(mut self, methods: On) -> Times {
        self.on = methods;
        self
    }

    /// Matches requests for this path only. It is written as for
    /// [`Origin::put`](crate::Origin::put).
    #[must_use = "this takes the times and gives them back changed"]
    pub fn at(mut self, path: &str) -> Times {
        self.path = Some(path::with_leading_slash(path));
        self
    }

    fn matches(&self, request: &RequestHead) -> bool {
        let method = match request.method {
            Method::Get => matches!(self.on, On::Get | On::Both),
            Method::Head => matches!(self.on, On::Head | On::Both),
            Method::Other(_) => false,
        };
        method && self.path.as_ref().is_none_or(|path| *path == request.path)
    }
}

impl Fault {
    /// The response of a server with this fault.
    ///
    /// This is the one place that knows what a fault does: it asks for the right answer, perhaps to
    /// another request than was made, and changes it. What goes wrong in transit is another script
    /// for the sender.
    pub(crate) fn respond(&self, request: &RequestHead, object: Option<&Arc<Object>>) -> Response {
        let right = || answer(request, object);
        match self {
            Fault::FullInsteadOfPartial => answer(&RequestHead { range: None, ..request.clone() }, object),
            Fault::ShortBody { missing } => {
                let response = right();
                let sent = response.body.len().saturating_sub(*missing);
                response.script([Step::Head, Step::Body(0..sent), Step::Close])
            }
            Fault::WrongRange { shift } => match (right(), object) {
                (mut response, Some(object)) if response.status == 206 => {
                    let range = shifted(&response.body.range, *shift, object.len());
                    response.body.range = range.clone();
                    response.content_range(&range, object.len())
                }
                (response, _) => response,
            },
            Fault::WrongTotal { total } => {
                let response = right();
                match (response.status, &request.method) {
                    (206, _) => {
                        let range = response.body.range.clone();
                        response.content_range(&range, *total)
                    }
                    (416, _) => response.header("Content-Range", format!("bytes */{total}")),
                    (200, Method::Head) => response.header("Content-Length", total.to_string()),
                    _ => response,
                }
            }
            Fault::NoContentRange => right().without_header("Content-Range"),
            Fault::Status(status) => Response::of_status(*status),
            Fault::ChangedEtag => {
                let mut unconditional = request.clone();
                unconditional.preconditions.if_match = None;
                let response = answer(&unconditional, object);
                match object {
                    Some(object) if matches!(response.status, 200 | 206 | 304) => {
                        response.header("ETag", changed(object.etag()))
                    }
                    _ => response,
                }
            }
        }
    }
}

/// Another range of the same length within `0..len`, if there is one.
fn shifted(range: &Range<u64>, shift: u64, len: u64) -> Range<u64> {
    let size = range.end - range.start;
    // The ranges of that size begin at 0..=len - size.
    let last = u128::from(len - size);
    let mut start = (u128::from(range.start) + u128::from(shift)) % (last + 1);
    if start == u128::from(range.start) {
        start = (start + 1) % (last + 1);
    }
    // It is at most `len - size`.
    let start = start as u64;
    start..start + size
}

fn changed(etag: Option<&str>) -> String {
    match etag.and_then(|etag| etag.strip_suffix('"')) {
        Some(open) => format!("{open}-changed\""),
        None => "\"changed\"".to_owned(),
    }
}

/// The faults that have been injected and are not used up.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue {
    waiting: Vec<(Fault, Times)>,
}

impl FaultQueue {
    pub(crate) fn push(&mut self, fault: Fault, times: Times) {
        self.waiting.push((fault, times));
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The fault that hits this request: the first injected of those that are due. The others stay
    /// due, but every one that is still skipping has skipped this request.
    pub(crate) fn take(&mut self, request: &RequestHead) -> Option<Fault> {
        let mut hit = None;
        for (fault, times) in &mut self.waiting {
            if !times.matches(request) {
                continue;
            }
            if times.skip > 0 {
                times.skip -= 1;
            } else if hit.is_none() && times.left != Some(0) {
                times.left = times.left.map(|left| left - 1);
                hit = Some(fault.clone());
            }
        }
        self.waiting.retain(|(_, times)| times.left != Some(0));
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precondition::Preconditions;

    fn request(method: Method, path: &str) -> RequestHead {
        RequestHead {
            method,
            path: path.to_owned(),
            range: None,
            preconditions: Preconditions::default(),
            close: false,
            host_is_wrong: false,
        }
    }

    fn statuses(queue: &mut FaultQueue, count: usize) -> Vec<u16> {
        let get = request(Method::Get, "/a");
        let status = |fault| match fault {
            Some(Fault::Status(status)) => status,
            _ => 0,
        };
        (0..count).map(|_| status(queue.take(&get))).collect()
    }

    #[test]
    fn faults_come_in_turn() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::next(2));
        queue.push(Fault::Status(2), Times::once());
        queue.push(Fault::Status(3), Times::next(0));
        assert_eq!(statuses(&mut queue, 5), [1, 1, 2, 0, 0]);
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn skipping_counts_from_the_injection() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::once().after(1));
        queue.push(Fault::Status(2), Times::every().after(3));
        assert_eq!(statuses(&mut queue, 6), [0, 1, 0, 2, 2, 2]);
        queue.clear();
        assert_eq!(statuses(&mut queue, 1), [0]);
    }

    #[test]
    fn a_fault_hits_its_method_and_path_only() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::once().on(On::Head).at("b"));
        for other in
            [request(Method::Get, "/b"), request(Method::Head, "/a"), request(Method::Other("POST".to_owned()), "/b")]
        {
            assert_eq!(queue.take(&other), None);
        }
        assert_eq!(queue.take(&request(Method::Head, "/b")), Some(Fault::Status(1)));

        queue.push(Fault::Status(2), Times::every().on(On::Both));
        assert!(queue.take(&request(Method::Get, "/b")).is_some());
        assert!(queue.take(&request(Method::Head, "/b")).is_some());
        assert!(queue.take(&request(Method::Other("POST".to_owned()), "/b")).is_none());
    }

    #[test]
    fn a_shifted_range_is_another_of_the_same_length() {
        assert_eq!(shifted(&(0..10), 5, 100), 5..15);
        assert_eq!(shifted(&(85..95), 5, 100), 90..100);
        assert_eq!(shifted(&(90..100), 1, 100), 0..10);
        assert_eq!(shifted(&(0..10), 91, 100), 1..11);
        assert_eq!(shifted(&(3..4), 0, 100), 4..5);
        assert_eq!(shifted(&(0..100), 7, 100), 0..100);
        assert_eq!(shifted(&(u64::MAX - 1..u64::MAX), u64::MAX, u64::MAX), 0..1);
        for start in 0..=4 {
            for shift in 0..20 {
                let range = shifted(&(start..start + 3), shift, 7);
                assert!(range.start != start && range.end - range.start == 3 && range.end <= 7);
            }
        }
    }

    #[test]
    fn the_other_etag_is_well_formed() {
        assert_eq!(changed(Some("\"v1\"")), "\"v1-changed\"");
        assert_eq!(changed(Some("W/\"v1\"")), "W/\"v1-changed\"");
        assert_eq!(changed(Some("bare")), "\"changed\"");
        assert_eq!(changed(None), "\"changed\"");
    }
}
