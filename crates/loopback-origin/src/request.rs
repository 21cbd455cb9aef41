//! Request heads: from bytes on a connection to what the rest of the server looks at.

use std::io::{self, Read};

use crate::path;
use crate::precondition::Preconditions;

/// The most bytes of a request head. A longer one is refused.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// The most header fields of a request. A head with more is refused.
const FIELD_LIMIT: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Other(String),
}

impl Method {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Other(name) => name,
        }
    }
}

/// What counts of a request. Fields that are not valid UTF-8 have replacement characters.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Percent-decoded, without the query.
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) preconditions: Preconditions,
    /// Whether the connection ends with the response: the client says so, speaks HTTP/1.0, or sends
    /// a body, which nothing here reads.
    pub(crate) close: bool,
    /// An HTTP/1.1 request without exactly one `Host` must be answered 400 (RFC 9112, section 3.2).
    pub(crate) host_is_wrong: bool,
}

/// Why there is no next request head.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// The connection has ended, by the client's doing or ours.
    Closed,
    /// The bytes are not a request: 400.
    Malformed,
    /// The head goes over a limit: 431.
    TooLarge,
}

/// Reads request heads one after the other from a connection.
///
/// It keeps what it has read beyond the end of a head, so that a client may send its next request
/// before it has the response (pipelining).
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    buffered: Vec<u8>,
}

impl HeadReader {
    /// The next head; blocks until it is there in full.
    pub(crate) fn next(&mut self, mut stream: impl Read) -> Result<RequestHead, NoHead> {
        loop {
            if let Some((head, len)) = parse(&self.buffered)? {
                self.buffered.drain(..len);
                return Ok(head);
            }
            if self.buffered.len() >= HEAD_LIMIT {
                return Err(NoHead::TooLarge);
            }
            let mut block = [0; 8 * 1024];
            match stream.read(&mut block) {
                Ok(0) => return Err(NoHead::Closed),
                Ok(read) => self.buffered.extend_from_slice(&block[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(NoHead::Closed),
            }
        }
    }
}

/// The head at the start of `bytes` and its length, or `None` if it does not end there yet.
fn parse(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, NoHead> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut request = httparse::Request::new(&mut fields);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len > HEAD_LIMIT => return Err(NoHead::TooLarge),
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(NoHead::TooLarge),
        Err(_) => return Err(NoHead::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(NoHead::Malformed);
    };

    let fields = Fields(request.headers);
    let asks_to_close = fields
        .joined("connection")
        .is_some_and(|options| options.split(',').any(|option| option.trim().eq_ignore_ascii_case("close")));
    let has_body = fields.joined("transfer-encoding").is_some()
        || fields.joined("content-length").is_some_and(|length| length.trim() != "0");
    let head = RequestHead {
        method: match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            other => Method::Other(other.to_owned()),
        },
        path: path::of_target(target),
        range: fields.joined("range"),
        preconditions: Preconditions {
            if_match: fields.joined("if-match"),
            if_unmodified_since: fields.joined("if-unmodified-since"),
            if_none_match: fields.joined("if-none-match"),
            if_modified_since: fields.joined("if-modified-since"),
            if_range: fields.joined("if-range"),
        },
        close: version == 0 || asks_to_close || has_body,
        host_is_wrong: version == 1 && fields.count("host") != 1,
    };
    Ok(Some((head, len)))
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value)
    }

    fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// The field's value. Several lines of one field mean the list of their values (RFC 9110,
    /// section 5.3); where a field is no list, that gives a value which is malformed, as it should.
    fn joined(&self, name: &str) -> Option<String> {
        self.values(name).map(|value| String::from_utf8_lossy(value).into_owned()).reduce(|mut list, value| {
            list.push_str(", ");
            list.push_str(&value);
            list
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one at a time, as a slow network might.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = self.0.len().min(1);
            self.0.read(&mut buffer[..end])
        }
    }

    fn head(bytes: &[u8]) -> Result<RequestHead, NoHead> {
        HeadReader::default().next(bytes)
    }

    #[test]
    fn heads_follow_each_other_however_they_arrive() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: h\r\nrange: bytes=1-2\r\n\r\n\
                      HEAD /b?q=/x HTTP/1.1\r\nHOST: h\r\nConnection: keep-alive, Close\r\n\r\n";
        let both = |stream: &mut dyn Read| {
            let mut reader = HeadReader::default();
            let first = reader.next(&mut *stream).unwrap();
            assert_eq!((first.method, first.path.as_str()), (Method::Get, "/a"));
            assert_eq!(first.range.as_deref(), Some("bytes=1-2"));
            assert!(!first.close && !first.host_is_wrong);
            let second = reader.next(&mut *stream).unwrap();
            assert_eq!((second.method, second.path.as_str()), (Method::Head, "/b"));
            assert!(second.close);
            assert!(matches!(reader.next(&mut *stream), Err(NoHead::Closed)));
        };
        both(&mut bytes.as_slice());
        both(&mut Dribble(bytes));
    }

    #[test]
    fn when_the_connection_ends_with_the_response() {
        for (bytes, close) in [
            (&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], false),
            (b"GET / HTTP/1.0\r\n\r\n", true),
            (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
            (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", true),
            (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false),
            (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        ] {
            assert_eq!(head(bytes).unwrap().close, close, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn exactly_one_host() {
        assert!(head(b"GET / HTTP/1.1\r\n\r\n").unwrap().host_is_wrong);
        assert!(head(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap().host_is_wrong);
        assert!(!head(b"GET / HTTP/1.0\r\n\r\n").unwrap().host_is_wrong);
    }

    #[test]
    fn a_field_sent_twice_is_a_list() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nIf-Match: \"a\"\r\nif-match: \"b\"\r\n\r\n";
        let joined = head(bytes).unwrap().preconditions.if_match;
        assert_eq!(joined.as_deref(), Some("\"a\", \"b\""));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert!(matches!(head(b""), Err(NoHead::Closed)));
        assert!(matches!(head(b"GET / HTT"), Err(NoHead::Closed)));
        assert!(matches!(head(b"\x16\x03\x01\x02\x00\x01"), Err(NoHead::Malformed)));
        assert!(matches!(head(b"GET / HTTP/9.9\r\n\r\n"), Err(NoHead::Malformed)));
        assert!(matches!(head(b"GET / HTTP/1.1\r\nno colon\r\n\r\n"), Err(NoHead::Malformed)));

        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(HEAD_LIMIT));
        assert!(matches!(head(long.as_bytes()), Err(NoHead::TooLarge)));
        let endless = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; HEAD_LIMIT]].concat();
        assert!(matches!(head(&endless), Err(NoHead::TooLarge)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(FIELD_LIMIT + 1));
        assert!(matches!(head(many.as_bytes()), Err(NoHead::TooLarge)));
        assert!(matches!(head(&[b'\n'; HEAD_LIMIT + 1]), Err(NoHead::TooLarge)));
    }
}
