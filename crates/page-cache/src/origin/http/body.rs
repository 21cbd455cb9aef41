//! The body of a partial response: as much of it as comes in time, and never more than was asked for.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::GetResult;
use tokio::time::{Instant, timeout_at};

use super::observe::innermost;

/// What came of a body.
#[derive(Debug)]
pub(super) enum Body {
    /// The bytes asked for, or a beginning of them that is not empty.
    Bytes(Bytes),
    /// None, for this reason.
    Nothing(String),
    /// What is no answer, for this reason.
    Invalid(String),
}

/// Reads a body until it ends, breaks, brings nothing for as long as `stall`, or `end` is reached. Of one that is too long
/// no more is read than tells that it is.
pub(super) async fn collect(response: GetResult, asked: &Range<u64>, stall: Duration, end: Instant) -> Body {
    if response.range != *asked {
        return Body::Invalid(format!("it is bytes {}..{}", response.range.start, response.range.end));
    }
    let expected = asked.end - asked.start;
    let mut body = response.into_stream();
    let mut bytes = BytesMut::with_capacity(expected as usize);
    let reason = loop {
        let patience = end.min(Instant::now().checked_add(stall).unwrap_or(end));
        match timeout_at(patience, body.next()).await {
            Ok(Some(Ok(part))) if (bytes.len() + part.len()) as u64 > expected => {
                return Body::Invalid(format!("its body is longer than the {expected} bytes asked for"));
            }
            Ok(Some(Ok(part))) => bytes.extend_from_slice(&part),
            Ok(Some(Err(error))) => break innermost(&error),
            Ok(None) if bytes.is_empty() => return Body::Invalid("its body is empty".to_owned()),
            Ok(None) => break "the body ended early".to_owned(),
            Err(_) => break "nothing more came in time".to_owned(),
        }
    };
    if bytes.is_empty() {
        return Body::Nothing(format!("the response broke off before its body: {reason}"));
    }
    if (bytes.len() as u64) < expected {
        tracing::debug!(bytes = bytes.len(), expected, reason, "a response broke off");
    }
    Body::Bytes(bytes.freeze())
}
