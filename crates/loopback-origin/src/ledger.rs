//! What came in and what went out: the counters and the log of requests.
//!
//! Both are behind one lock, so that a snapshot is of one instant. Everything is written down
//! *before* the bytes it is about go to the socket, and taken back where they did not get there;
//! otherwise a client that has just read the last byte could look before it is counted.

use std::collections::VecDeque;
use std::ops::Range;

use parking_lot::Mutex;

use crate::counters::Counters;
use crate::fault::Fault;
use crate::request::Method;

/// A request as an [`Origin`](crate::Origin) received and answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path, percent-decoded and without the query; cut off after 1 KiB.
    pub path: String,
    /// The `Range` header as received, well-formed or not; cut off after 1 KiB.
    pub range_header: Option<String>,
    /// The bytes the `Range` header means, half-open and clipped to the object, whatever was
    /// answered. `None` without the header, where it is malformed, lists several ranges or cannot
    /// be satisfied, and where there is no object.
    pub range: Option<Range<u64>>,
    /// The `If-Match` header as received; cut off after 1 KiB.
    pub if_match: Option<String>,
    /// The status answered.
    pub status: u16,
    /// The bytes of body accepted by the operating system for sending, of any status.
    pub body_bytes: u64,
    /// The fault that shaped the answer.
    pub fault: Option<Fault>,
}

/// How many requests are remembered, the latest ones.
pub(crate) const LOG_CAPACITY: usize = 100_000;

/// How much of a header or path is remembered, in bytes: with the above, a bound on the memory.
const LONGEST_TEXT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Goes up with each reset: a response belongs to the counters under which its request came.
    generation: u64,
    counters: Counters,
    log: VecDeque<Request>,
    /// The number of the log's first entry, counted since the start.
    first_entry: u64,
}

/// A request that has arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    generation: u64,
}

/// A request that is being answered, to which body bytes are booked.
#[derive(Debug)]
pub(crate) struct Entry {
    generation: u64,
    number: u64,
    counts_body: bool,
}

impl Ledger {
    pub(crate) fn connection_accepted(&self) {
        self.books.lock().counters.connections += 1;
    }

    pub(crate) fn arrived(&self, method: &Method) -> Arrival {
        let mut books = self.books.lock();
        books.counters.requests += 1;
        match method {
            Method::Get => books.counters.get_requests += 1,
            Method::Head => books.counters.head_requests += 1,
            Method::Other(_) => {}
        }
        Arrival { generation: books.generation }
    }

    /// A head that was refused with `status`.
    pub(crate) fn refused(&self, status: u16) {
        let mut books = self.books.lock();
        books.counters.malformed_requests += 1;
        *books.counters.by_status.entry(status).or_default() += 1;
    }

    pub(crate) fn answering(&self, arrival: Arrival, mut request: Request) -> Entry {
        cut(&mut request.method);
        cut(&mut request.path);
        for header in [&mut request.range_header, &mut request.if_match].into_iter().flatten() {
            cut(header);
        }

        let mut books = self.books.lock();
        if books.generation == arrival.generation {
            *books.counters.by_status.entry(request.status).or_default() += 1;
        }
        if books.log.len() == LOG_CAPACITY {
            books.log.pop_front();
            books.first_entry += 1;
        }
        let entry = Entry {
            generation: arrival.generation,
            number: books.first_entry + books.log.len() as u64,
            counts_body: request.method == "GET" && matches!(request.status, 200 | 206),
        };
        books.log.push_back(request);
        entry
    }

    /// Books bytes of a head and of a body that are about to be sent.
    pub(crate) fn sending(&self, entry: &Entry, head: u64, body: u64) {
        self.book(entry, |sent| *sent += head + body, |of_body| *of_body += body);
    }

    /// Takes back bytes that were booked and could not be sent.
    pub(crate) fn not_sent(&self, entry: &Entry, head: u64, body: u64) {
        self.book(entry, |sent| *sent -= head + body, |of_body| *of_body -= body);
    }

    fn book(&self, entry: &Entry, change_sent: impl Fn(&mut u64), change: impl Fn(&mut u64)) {
        let mut books = self.books.lock();
        if books.generation == entry.generation {
            change_sent(&mut books.counters.sent_bytes);
            if entry.counts_body {
                change(&mut books.counters.body_bytes);
            }
        }
        let index = entry.number.checked_sub(books.first_entry);
        let index = index.and_then(|index| usize::try_from(index).ok());
        // Gone where the log was cleared or has moved on.
        if let Some(request) = index.and_then(|index| books.log.get_mut(index)) {
            change(&mut request.body_bytes);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.books.lock().counters.clone()
    }

    pub(crate) fn reset_counters(&self) {
        let mut books = self.books.lock();
        books.generation += 1;
        books.counters = Counters::default();
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.books.lock().log.iter().cloned().collect()
    }

    pub(crate) fn clear_requests(&self) {
        let mut books = self.books.lock();
        books.first_entry += books.log.len() as u64;
        books.log.clear();
    }
}

fn cut(text: &mut String) {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: u16) -> Request {
        Request {
            method: "GET".to_owned(),
            path: "/data.bin".to_owned(),
            range_header: None,
            range: None,
            if_match: None,
            status,
            body_bytes: 0,
            fault: None,
        }
    }

    #[test]
    fn bytes_are_booked_and_taken_back() {
        let ledger = Ledger::default();
        let arrival = ledger.arrived(&Method::Get);
        let entry = ledger.answering(arrival, request(206));
        ledger.sending(&entry, 20, 100);
        ledger.not_sent(&entry, 5, 30);
        assert_eq!(ledger.counters().body_bytes, 70);
        assert_eq!(ledger.counters().sent_bytes, 85);
        assert_eq!(ledger.counters().with_status(206), 1);
        assert_eq!(ledger.counters().with_status(200), 0);
        assert_eq!(ledger.requests()[0].body_bytes, 70);
    }

    #[test]
    fn a_body_of_an_error_is_in_the_log_only() {
        let ledger = Ledger::default();
        let entry = ledger.answering(ledger.arrived(&Method::Get), request(404));
        ledger.sending(&entry, 0, 10);
        assert_eq!((ledger.counters().body_bytes, ledger.counters().sent_bytes), (0, 10));
        assert_eq!(ledger.requests()[0].body_bytes, 10);
    }

    #[test]
    fn a_response_under_way_does_not_reach_into_new_counters() {
        let ledger = Ledger::default();
        let entry = ledger.answering(ledger.arrived(&Method::Get), request(200));
        let late = ledger.arrived(&Method::Get);
        ledger.sending(&entry, 1, 100);
        ledger.reset_counters();
        ledger.not_sent(&entry, 1, 100);
        ledger.sending(&entry, 1, 50);
        ledger.answering(late, request(200));
        assert_eq!(ledger.counters(), Counters::default());
    }

    #[test]
    fn the_log_forgets_the_oldest() {
        let ledger = Ledger::default();
        let first = ledger.answering(ledger.arrived(&Method::Get), request(200));
        for _ in 0..LOG_CAPACITY {
            ledger.answering(ledger.arrived(&Method::Get), request(206));
        }
        ledger.sending(&first, 0, 5);
        let log = ledger.requests();
        assert_eq!(log.len(), LOG_CAPACITY);
        assert!(log.iter().all(|request| request.status == 206 && request.body_bytes == 0));

        ledger.clear_requests();
        let entry = ledger.answering(ledger.arrived(&Method::Get), request(200));
        ledger.sending(&entry, 0, 9);
        assert_eq!(ledger.requests()[0].body_bytes, 9);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let ledger = Ledger::default();
        let path = format!("/{}", "\u{e9}".repeat(2000));
        ledger.answering(ledger.arrived(&Method::Get), Request { path, ..request(404) });
        assert_eq!(ledger.requests()[0].path.len(), 1023);
    }
}
