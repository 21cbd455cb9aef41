//! Wrong answers: which there are, and how each differs from the right one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::answer::answer;
use crate::content::Content;
use crate::gzip;
use crate::object::Object;
use crate::request::{Method, RequestHead};
use crate::response::{Body, Response, Step};

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
    /// Answers with the ETag as a weak one.
    WeakEtag,
    /// Answers without the ETag.
    NoEtag,
    /// Sends so many bytes more than are right, and says so in `Content-Length`.
    LongBody {
        /// How many bytes are too many; at most 16 MiB of them come.
        extra: u64,
    },
    /// Sends no byte of the body, and says so in `Content-Length`.
    EmptyBody,
    /// Sends the body in the form of gzip, and says so in `Content-Encoding`, whatever the client accepts. A body
    /// of more than 64 MiB goes out as it is.
    Gzip,
    /// Sends nothing for so long, and then the right answer.
    SlowStart(Duration),
    /// Sends nothing for so long when the head and so many bytes of the body are sent, and then the rest.
    Stall {
        /// How many bytes of the body come at once.
        after: u64,
        /// How long nothing follows.
        pause: Duration,
    },
    /// Sends the body a few bytes at a time.
    Trickle {
        /// How many, at least one.
        bytes: u64,
        /// The pause before each few.
        pause: Duration,
    },
    /// Resets the connection when the head and so many bytes of the body are sent. What the client has not read by
    /// then is lost to it.
    Reset {
        /// How many bytes of the body are sent.
        after: u64,
    },
    /// Resets the connection without an answer.
    NoAnswer,
    /// Answers that the object is somewhere else.
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location` header, written as it is. It must not contain line breaks.
        location: String,
    },
    /// Answers with this status and a short text, and asks to come back later.
    RetryAfter {
        /// The status, such as 429 or 503.
        status: u16,
        /// The `Retry-After` header, seconds or a date, written as it is. It must not contain line breaks.
        after: String,
    },
    /// Sends a head that never ends, for as long as the client takes it.
    EndlessHeaders,
    /// Sends a body that never ends, in chunks, for as long as the client takes it.
    EndlessBody {
        /// The status, if it is not to be that of the right answer.
        status: Option<u16>,
    },
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
            Fault::WeakEtag => match (right(), object.and_then(|object| object.etag())) {
                (response, Some(etag)) if carries_object(&response) || response.status == 304 => {
                    response.header("ETag", format!("W/{}", etag.trim_start_matches("W/")))
                }
                (response, _) => response,
            },
            Fault::NoEtag => right().without_header("ETag"),
            Fault::LongBody { extra } => with_other_body(right(), |mut bytes| {
                bytes.resize(bytes.len() + (*extra).min(MOST_EXTRA) as usize, 0x5a);
                bytes
            }),
            Fault::EmptyBody => {
                let response = right();
                if !carries_object(&response) {
                    return response;
                }
                response.replace_body(Content::Memory(Bytes::new()), 0..0)
            }
            Fault::Gzip => {
                let response = right();
                if !carries_object(&response) || response.body.len() > MOST_ENCODED {
                    return response;
                }
                with_other_body(response, |bytes| gzip::stored(&bytes)).header("Content-Encoding", "gzip")
            }
            Fault::SlowStart(pause) => {
                let response = right();
                let all = 0..response.body.len();
                response.script([Step::Wait(*pause), Step::Head, Step::Body(all)])
            }
            Fault::Stall { after, pause } => {
                let response = right();
                let (len, after) = (response.body.len(), (*after).min(response.body.len()));
                response.script([Step::Head, Step::Body(0..after), Step::Wait(*pause), Step::Body(after..len)])
            }
            Fault::Trickle { bytes, pause } => {
                let response = right();
                let part = 0..response.body.len();
                response.script([Step::Head, Step::Trickle { part, bytes: *bytes, pause: *pause }])
            }
            Fault::Reset { after } => {
                let response = right();
                let sent = (*after).min(response.body.len());
                response.script([Step::Head, Step::Body(0..sent), Step::Reset])
            }
            Fault::NoAnswer => right().script([Step::Reset]),
            Fault::Redirect { status, location } => Response::of_status(*status).header("Location", location),
            Fault::RetryAfter { status, after } => Response::of_status(*status).header("Retry-After", after),
            Fault::EndlessHeaders => right().script([Step::EndlessHead]),
            Fault::EndlessBody { status } => {
                let response = status.map_or_else(right, Response::of_status);
                let response = response.without_header("Content-Length").header("Transfer-Encoding", "chunked");
                response.script([Step::EndlessChunks])
            }
        }
    }
}

/// The most bytes that are put behind a body.
const MOST_EXTRA: u64 = 16 << 20;

/// The longest body that is encoded: it is held in memory.
const MOST_ENCODED: u64 = 64 << 20;

/// Whether the body is the object or a part of it.
fn carries_object(response: &Response) -> bool {
    matches!(response.status, 200 | 206)
}

/// Changes the body, if it is of the object, and of a size that may be held in memory.
fn with_other_body(response: Response, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Response {
    if !carries_object(&response) || response.body.len() > MOST_ENCODED {
        return response;
    }
    // A file that has shrunk is found out again when the right answer is sent.
    let Ok(bytes) = read(&response.body) else { return response };
    let bytes = Bytes::from(change(bytes));
    let range = 0..bytes.len() as u64;
    response.replace_body(Content::Memory(bytes), range)
}

fn read(body: &Body) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
    let Range { mut start, end } = body.range;
    while start < end {
        let chunk = body.content.chunk(start, end, &mut scratch)?;
        bytes.extend_from_slice(chunk);
        start += chunk.len() as u64;
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

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
