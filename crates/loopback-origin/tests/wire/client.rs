//! A client that does what it is told, well-formed or not, and keeps what it gets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use loopback_origin::Origin;

pub(crate) struct Client {
    stream: TcpStream,
    buffered: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = named.next().map(|(_, value)| value.as_str());
        assert!(named.next().is_none(), "{name} comes twice");
        value
    }

    /// What `Content-Length` says.
    pub(crate) fn promised(&self) -> u64 {
        self.field("Content-Length").unwrap().parse().unwrap()
    }

    /// Whether all the bytes came that `Content-Length` says.
    pub(crate) fn is_complete(&self) -> bool {
        self.promised() == self.body.len() as u64
    }
}

impl Client {
    pub(crate) fn connect(origin: &Origin) -> Client {
        let stream = TcpStream::connect(origin.address()).unwrap();
        // A test that waits for ever says less than one that fails.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, buffered: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, fields: &[&str]) {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    }

    pub(crate) fn get(&mut self, path: &str, fields: &[&str]) -> Reply {
        self.request("GET", path, fields);
        self.reply()
    }

    pub(crate) fn head(&mut self, path: &str, fields: &[&str]) -> Reply {
        self.request("HEAD", path, fields);
        self.reply_head()
    }

    /// Reads status line and headers.
    pub(crate) fn reply_head(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.buffered.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert!(self.read_more(), "the connection ends within a head");
        };
        let head: Vec<u8> = self.buffered.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Reply { status, fields: fields.collect(), body: Vec::new() }
    }

    /// Reads a reply with its body, or as much of the body as comes before the connection ends.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.reply_head();
        if reply.field("Content-Length").is_some() {
            let promised = usize::try_from(reply.promised()).unwrap();
            while self.buffered.len() < promised && self.read_more() {}
            let end = promised.min(self.buffered.len());
            reply.body = self.buffered.drain(..end).collect();
        }
        reply
    }

    /// Takes some bytes of a body, and leaves the others where they are.
    pub(crate) fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffered.len() < count && self.read_more() {}
        self.buffered.drain(..count).collect()
    }

    /// Reads what comes next, and says whether the connection was reset instead of closed in order.
    pub(crate) fn is_reset(&mut self) -> bool {
        let mut block = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Whether the server closes the connection and sends nothing more. Blocks until it does.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffered.is_empty() && !self.read_more()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads whatever comes until the connection ends, by a reset too.
    pub(crate) fn drain(mut self) -> Vec<u8> {
        while self.read_more() {}
        self.buffered
    }

    fn read_more(&mut self) -> bool {
        let mut block = vec![0; 64 * 1024];
        match self.stream.read(&mut block) {
            Ok(read) => {
                self.buffered.extend_from_slice(&block[..read]);
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn get(origin: &Origin, path: &str, fields: &[&str]) -> Reply {
    Client::connect(origin).get(path, fields)
}

/// Content in which no two neighbouring ranges are alike.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}
