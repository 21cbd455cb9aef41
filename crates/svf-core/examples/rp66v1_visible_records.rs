//! Walks the visible records of a RP66V1 file on a server, fetching next to nothing of it.
//!
//! The format (API RP 66, version 1): a storage unit label of 80 bytes, then visible records; each begins with its
//! length in two bytes, big-endian, and the bytes FF 01. So a walk needs 4 bytes here and 4 bytes there.
//!
//! `cargo run -p svf-core --example rp66v1_visible_records`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

use loopback_origin::Origin;
use svf_core::{NeedOptions, SparseVirtualFile};

/// A label, and visible records of some 8 KiB.
fn make_file(records: usize) -> Vec<u8> {
    let mut file = format!("{:4}V1.00RECORD{:5}{:60}", 1, 8192, "An example").into_bytes();
    for record in 0..records {
        let len = 8192 - record % 7 * 4;
        file.extend([(len >> 8) as u8, len as u8, 0xFF, 0x01]);
        file.resize(file.len() + len - 4, record as u8);
    }
    file
}

/// A plain GET of a range.
fn get(server: SocketAddr, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    let (first, last) = (range.start, range.end - 1);
    write!(stream, "GET /well HTTP/1.1\r\nHost: {server}\r\nRange: bytes={first}-{last}\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let end_of_head = response.windows(4).position(|window| window == b"\r\n\r\n");
    match end_of_head.filter(|_| response.starts_with(b"HTTP/1.1 206")) {
        Some(end_of_head) => Ok(response.split_off(end_of_head + 4)),
        None => Err(std::io::Error::other("the server did not answer with the range")),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let content = make_file(1_000);
    let len = content.len() as u64;
    let origin = Origin::builder().serve_bytes("/well", content).start()?;

    let file = SparseVirtualFile::new(origin.url("/well"));
    let options = NeedOptions::new().end_of_file(len);
    let (mut position, mut records) = (80, 0);
    while position < len {
        for missing in file.need_requests(position..position + 4, &options) {
            file.write(missing.start, &get(origin.address(), &missing)?)?;
        }
        let header = file.read(position..position + 4)?;
        if header[2..] != [0xFF, 0x01] {
            return Err(format!("there is no visible record at {position}").into());
        }
        position += u64::from(u16::from_be_bytes([header[0], header[1]]));
        records += 1;
    }
    println!("{records} visible records; {} of {len} bytes fetched", origin.counters().body_bytes);
    assert_eq!((records, origin.counters().body_bytes, file.num_blocks()), (1_000, 4_000, 1_000));
    Ok(())
}
