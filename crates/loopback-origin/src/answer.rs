//! The right response to a request, as RFC 9110 has it.

use std::sync::Arc;

use crate::object::Object;
use crate::precondition::Verdict;
use crate::range::{self, Asked};
use crate::request::{Method, RequestHead};
use crate::response::Response;

/// Answers a request for what stands at its path.
pub(crate) fn answer(request: &RequestHead, object: Option<&Arc<Object>>) -> Response {
    if request.host_is_wrong {
        return Response::plain(400, "an HTTP/1.1 request has exactly one Host header").closing();
    }
    if let Method::Other(_) = request.method {
        return Response::of_status(405).header("Allow", "GET, HEAD");
    }
    let Some(object) = object else {
        return Response::of_status(404);
    };
    match request.preconditions.evaluate(object) {
        Verdict::Failed => return Response::of_status(412),
        Verdict::NotModified => return Response::of_status(304).validators(object),
        Verdict::Proceed => {}
    }
    match range_asked(request, object) {
        Asked::Whole => Response::of_object(200, object, 0..object.len()),
        Asked::Part(range) => Response::of_object(206, object, range.clone()).content_range(&range, object.len()),
        Asked::Unsatisfiable => Response::of_status(416)
            .header("Content-Range", format!("bytes */{}", object.len()))
            .header("Accept-Ranges", "bytes"),
    }
}

/// The range that is to be answered: only GET knows ranges (section 14.2).
fn range_asked(request: &RequestHead, object: &Object) -> Asked {
    if request.method == Method::Get && request.preconditions.range_counts(object) {
        range::resolve(request.range.as_deref(), object.len())
    } else {
        Asked::Whole
    }
}
