//! Lists a remote ZIP and reads one member of it.
//!
//! `cargo run -p svf-facade --example zip_member [-- URL]`

mod sample;

use std::error::Error;
use std::io::{Cursor, Read, Write};

use self::sample::{Sample, cost};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = Sample::from_arguments("/archive.zip", make)?;
    // A program of yours has a URL, and says svf::open(url)?.
    let file = sample.stack.open(&sample.url)?;
    let cached = file.as_cached().cloned();

    let mut archive = zip::ZipArchive::new(file)?;
    // The names stand in the directory at the end; a member's own header is not looked at for them.
    for name in archive.file_names() {
        println!("{}", name?);
    }
    let mut member = archive.by_index(archive.len() / 2)?;
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes)?;
    println!("read {}: {} bytes", member.name()?, bytes.len());
    drop(member);

    println!("{}", cached.map_or("a local file".to_owned(), |cached| cost(&cached)));
    Ok(())
}

/// An archive of 21 members of 100,000 bytes each, as they are.
fn make() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..21 {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("member {number}"), options)?;
        archive.write_all(&[number; 100_000])?;
    }
    Ok(archive.finish()?.into_inner())
}
