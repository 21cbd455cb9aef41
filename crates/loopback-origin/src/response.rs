//! A response, and the script by which it goes out.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::content::Content;
use crate::object::Object;
use crate::precondition::http_date;

/// A response that has been decided on and not been sent.
///
/// It does not depend on the method: a HEAD is answered like a GET, and whoever sends it leaves the
/// body out.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// What the sender does, in order. See [`Step`].
    pub(crate) script: Vec<Step>,
    /// Whether to announce that the connection ends, and to end it.
    pub(crate) close: bool,
}

/// One thing that the sender does. A response that is well-behaved in transit sends its head and the
/// whole of its body; faults of transit are other scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Sends status line and headers.
    Head,
    /// Sends these bytes of the body.
    Body(Range<u64>),
    /// Sends these bytes of the body a few at a time, with a pause before each few.
    Trickle { part: Range<u64>, bytes: u64, pause: Duration },
    /// Sends nothing for so long; what was sent before is with the client by then.
    Wait(Duration),
    /// Sends a status line and header fields, and no end of them, for as long as the client takes them.
    EndlessHead,
    /// Sends a head that announces chunks, and no end of them, for as long as the client takes them.
    EndlessChunks,
    /// Ends the connection without announcement.
    Close,
    /// Ends the connection by a reset: what is under way to the client may be lost.
    Reset,
}

/// A part of some content.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) content: Content,
    pub(crate) range: Range<u64>,
}

impl Body {
    fn empty() -> Body {
        Body { content: Content::Memory(Bytes::new()), range: 0..0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Response {
    /// A response with a short text for a body, where the status allows a body at all.
    pub(crate) fn plain(status: u16, text: &str) -> Response {
        if matches!(status, 100..=199 | 204 | 304) {
            return Response {
                status,
                headers: Vec::new(),
                body: Body::empty(),
                script: vec![Step::Head],
                close: false,
            };
        }
        let text = Bytes::from(format!("{text}\n").into_bytes());
        let range = 0..text.len() as u64;
        let body = Body { content: Content::Memory(text), range };
        Response::with_body(status, body).header("Content-Type", "text/plain; charset=utf-8")
    }

    /// A response with a status and what stands for it.
    pub(crate) fn of_status(status: u16) -> Response {
        Response::plain(status, &format!("{status:03} {}", reason(status)))
    }

    /// A response that carries `range` of an object.
    pub(crate) fn of_object(status: u16, object: &Arc<Object>, range: Range<u64>) -> Response {
        let body = Body { content: object.content().clone(), range };
        Response::with_body(status, body).header("Content-Type", object.content_type()).validators(object)
    }

    fn with_body(status: u16, body: Body) -> Response {
        let script = vec![Step::Head, Step::Body(0..body.len())];
        let length = body.len().to_string();
        Response { status, headers: Vec::new(), body, script, close: false }.header("Content-Length", length)
    }

    /// Sets a header, in the place of one of that name.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self = self.without_header(name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Response {
        self.headers.retain(|(present, _)| *present != name);
        self
    }

    pub(crate) fn validators(mut self, object: &Object) -> Response {
        if let Some(etag) = object.etag() {
            self = self.header("ETag", etag);
        }
        if let Some(date) = object.last_modified().and_then(http_date) {
            self = self.header("Last-Modified", date);
        }
        self.header("Accept-Ranges", "bytes")
    }

    pub(crate) fn content_range(self, range: &Range<u64>, total: u64) -> Response {
        // A range that is answered is never empty, so it has a last byte.
        let last = range.end.saturating_sub(1);
        self.header("Content-Range", format!("bytes {}-{last}/{total}", range.start))
    }

    /// Puts another body in the place of this one, which is sent as a whole.
    pub(crate) fn replace_body(mut self, content: Content, range: Range<u64>) -> Response {
        self.body = Body { content, range };
        let length = self.body.len();
        self.script = vec![Step::Head, Step::Body(0..length)];
        self.header("Content-Length", length.to_string())
    }

    pub(crate) fn script(mut self, script: impl Into<Vec<Step>>) -> Response {
        self.script = script.into();
        self
    }

    pub(crate) fn closing(mut self) -> Response {
        self.close = true;
        self
    }

    /// Status line and headers as they go to the client, blank line included.
    pub(crate) fn head_bytes(&self) -> Vec<u8> {
        let mut head = self.open_head_bytes();
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The same without the blank line, so that more headers may follow.
    pub(crate) fn open_head_bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {:03} {}\r\n", self.status, reason(self.status));
        let mut line = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        if let Some(now) = http_date(SystemTime::now()) {
            line("Date", &now);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if self.close {
            line("Connection", "close");
        }
        head.into_bytes()
    }
}

/// The phrase after the status code; clients ignore it, people read it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response) -> String {
        String::from_utf8(response.head_bytes()).unwrap()
    }

    #[test]
    fn a_head_has_its_lines() {
        let object = Arc::new(Object::from_bytes("0123456789").with_etag("\"v1\""));
        let response = Response::of_object(206, &object, 2..5).content_range(&(2..5), 10);
        let head = head(&response);
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\nDate: "));
        for line in [
            "Content-Length: 3",
            "Content-Range: bytes 2-4/10",
            "ETag: \"v1\"",
            "Accept-Ranges: bytes",
            "Content-Type: application/octet-stream",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
        }
        assert!(head.ends_with("\r\n\r\n"));
        assert!(!head.contains("Connection"));
        assert!(!head.contains("Last-Modified"));
    }

    #[test]
    fn a_header_is_there_once() {
        let response = Response::of_status(503).header("ETag", "a").header("ETag", "b").closing();
        let head = head(&response);
        assert!(head.contains("ETag: b\r\nConnection: close\r\n") && !head.contains("ETag: a"));
    }

    #[test]
    fn a_status_without_a_body_has_no_length() {
        for status in [100, 204, 304] {
            let response = Response::of_status(status);
            assert!(!head(&response).contains("Content-Length"));
            assert_eq!(response.script, [Step::Head]);
        }
    }
}
