//! One connection: reads requests and sends responses until one side has had enough.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::answer::answer;
use crate::ledger::{Arrival, Entry, Request};
use crate::range::{self, Asked};
use crate::request::{HeadReader, Method, NoHead, RequestHead};
use crate::response::{Body, Response, Step};
use crate::shared::Shared;

/// How long, and for how many bytes, a closing connection waits for the client to close too.
const LINGER: Duration = Duration::from_millis(200);
const LINGER_BYTES: usize = 1024 * 1024;

/// Serves a connection to its end. Blocks; ends at once when the stream is shut down from another
/// thread, or the stop signal is raised during a delay.
pub(crate) fn serve(stream: &TcpStream, shared: &Shared) {
    // Without this, the second small response on a connection may wait for an acknowledgement.
    // Where it cannot be set, responses are slower and still right.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection { stream, shared, scratch: Vec::new() };
    let mut heads = HeadReader::default();
    loop {
        let after = match heads.next(stream) {
            Ok(request) => connection.respond(&request),
            Err(NoHead::Malformed) => connection.refuse(400),
            Err(NoHead::TooLarge) => connection.refuse(431),
            Err(NoHead::Closed) => return,
        };
        match after {
            Ok(After::Next) => {}
            Ok(After::Close) => return close(stream),
            Ok(After::Nothing) | Err(_) => return,
        }
    }
}

/// What follows a response.
enum After {
    Next,
    Close,
    /// The stream is dropped as it is.
    Nothing,
}

struct Connection<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
    /// Where bytes of files lie on their way.
    scratch: Vec<u8>,
}

impl Connection<'_> {
    /// Answers a request. Everything about the answer, object and faults too, is decided after the
    /// delay. An error means that the connection is of no more use.
    fn respond(&mut self, request: &RequestHead) -> io::Result<After> {
        let shared = self.shared;
        let arrival = shared.ledger.arrived(&request.method);
        if shared.stop.wait(shared.delay()) {
            return Ok(After::Close);
        }
        // A connection that was accepted just before is not one that is open.
        if shared.is_refusing() {
            reset_when_dropped(self.stream);
            return Ok(After::Nothing);
        }
        let object = shared.object(&request.path);
        let fault = shared.take_fault(request);
        let mut response = match &fault {
            None => answer(request, object.as_ref()),
            Some(fault) => fault.respond(request, object.as_ref()),
        };
        response.close |= request.close;

        let range = object.and_then(|object| match range::resolve(request.range.as_deref(), object.len()) {
            Asked::Part(range) => Some(range),
            Asked::Whole | Asked::Unsatisfiable => None,
        });
        let record = Request {
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            range_header: request.range.clone(),
            range,
            if_match: request.preconditions.if_match.clone(),
            status: response.status,
            body_bytes: 0,
            fault,
        };
        self.send(&response, request.method != Method::Head, arrival, record)
    }

    /// Answers what is no request.
    fn refuse(&mut self, status: u16) -> io::Result<After> {
        self.shared.ledger.refused(status);
        let response = Response::of_status(status).closing();
        let mut wire = response.head_bytes();
        let Body { content, range } = &response.body;
        wire.extend_from_slice(content.chunk(range.start, range.end, &mut self.scratch)?);
        self.stream.write_all(&wire)?;
        Ok(After::Close)
    }

    /// Follows the response's script.
    fn send(&mut self, response: &Response, with_body: bool, arrival: Arrival, record: Request) -> io::Result<After> {
        let entry = self.shared.ledger.answering(arrival, record);
        // The head waits for the first bytes of the body, so that a small response is one packet.
        let mut head = Vec::new();
        for step in &response.script {
            match step {
                Step::Head => head.extend(response.head_bytes()),
                Step::Body(part) if with_body => {
                    self.send_body(&mut head, &response.body, part, &entry)?;
                }
                Step::Body(_) => {}
                Step::Trickle { part, bytes, pause } if with_body => {
                    let mut at = part.start;
                    while at < part.end {
                        self.write(&std::mem::take(&mut head), &[], &entry)?;
                        if self.shared.stop.wait(*pause) {
                            return Ok(After::Close);
                        }
                        let end = at.saturating_add((*bytes).max(1)).min(part.end);
                        self.send_body(&mut head, &response.body, &(at..end), &entry)?;
                        at = end;
                    }
                }
                Step::Trickle { .. } => {}
                Step::Wait(pause) => {
                    self.write(&std::mem::take(&mut head), &[], &entry)?;
                    if self.shared.stop.wait(*pause) {
                        return Ok(After::Close);
                    }
                }
                Step::EndlessHead => {
                    self.write(&response.open_head_bytes(), &[], &entry)?;
                    let field = [b"X-More: ".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
                    // It ends when the client has had enough, or the origin stops: both fail the write.
                    loop {
                        self.write(&field, &[], &entry)?;
                    }
                }
                Step::EndlessChunks => {
                    self.write(&response.head_bytes(), &[], &entry)?;
                    if with_body {
                        let chunk = [0x5a; 16 * 1024];
                        loop {
                            self.write(b"4000\r\n", &chunk, &entry)?;
                            self.write(b"\r\n", &[], &entry)?;
                        }
                    }
                }
                Step::Close => {
                    self.write(&head, &[], &entry)?;
                    return Ok(After::Close);
                }
                Step::Reset => {
                    self.write(&head, &[], &entry)?;
                    reset_when_dropped(self.stream);
                    return Ok(After::Nothing);
                }
            }
        }
        self.write(&head, &[], &entry)?;
        Ok(if response.close { After::Close } else { After::Next })
    }

    /// Sends a part of a body, after what is in `head`, which it empties.
    fn send_body(&mut self, head: &mut Vec<u8>, body: &Body, part: &Range<u64>, entry: &Entry) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = body.range.start + part.start;
        let end = body.range.start + part.end;
        while at < end {
            let chunk = body.content.chunk(at, end, &mut scratch)?;
            self.write(head, chunk, entry)?;
            at += chunk.len() as u64;
            head.clear();
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Writes both to the socket. The bytes of the body are in the books before they can be with
    /// the client; those that turn out not to be sent are taken out again.
    fn write(&self, head: &[u8], body: &[u8], entry: &Entry) -> io::Result<()> {
        let ledger = &self.shared.ledger;
        if head.is_empty() && body.is_empty() {
            return Ok(());
        }
        ledger.sending(entry, head.len() as u64, body.len() as u64);
        let mut written = 0;
        let outcome = write_both(self.stream, head, body, &mut written);
        if outcome.is_err() {
            let of_body = written.saturating_sub(head.len());
            ledger.not_sent(entry, (head.len() + of_body - written) as u64, (body.len() - of_body) as u64);
        }
        outcome
    }
}

/// Has the connection end by a reset, and not in order, as soon as nobody has the stream any more.
pub(crate) fn reset_when_dropped(stream: &TcpStream) {
    // Where it cannot be set, the connection is closed in order, which clients take for the same.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Writes two slices in full, and says how far it came even where it fails.
fn write_both(mut stream: impl Write, head: &[u8], body: &[u8], written: &mut usize) -> io::Result<()> {
    let mut slices = [IoSlice::new(head), IoSlice::new(body)];
    let mut slices = slices.as_mut_slice();
    let all = head.len() + body.len();
    while *written < all {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count;
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends a connection from our side so that the client can still read what was sent.
///
/// To drop the stream while bytes of the client are unread would reset the connection, and the
/// reset may overtake the response. So this closes the sending side, and reads until the client
/// has closed its own, for a while (RFC 9112, section 9.6).
fn close(mut stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let end = Instant::now() + LINGER;
    let mut block = [0; 8 * 1024];
    let mut seen = 0;
    while seen < LINGER_BYTES {
        let left = end.saturating_duration_since(Instant::now());
        // A timeout of nothing is an error, which ends this as it should.
        if stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match stream.read(&mut block) {
            Ok(0) | Err(_) => return,
            Ok(read) => seen += read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time and fails after some.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = bytes.len().min(3).min(self.room);
            self.taken.extend_from_slice(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn both_slices_are_written_in_order() {
        let mut narrow = Narrow { taken: Vec::new(), room: 100 };
        let mut written = 0;
        write_both(&mut narrow, b"headers", b"the body", &mut written).unwrap();
        assert_eq!(narrow.taken, b"headersthe body");
        assert_eq!(written, 15);
    }

    #[test]
    fn a_failure_tells_how_far_it_came() {
        for room in 0..15 {
            let mut narrow = Narrow { taken: Vec::new(), room };
            let mut written = 0;
            write_both(&mut narrow, b"headers", b"the body", &mut written).unwrap_err();
            assert_eq!(written, room);
        }
    }
}
