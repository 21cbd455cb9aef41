//! Several processes read all of a remote file through one cache; together they fetch each byte once.
//!
//! `cargo run -p svf-facade --example many_processes [-- URL]`

mod sample;

use std::error::Error;
use std::process::{Command, Stdio};

use svf::Stack;

use self::sample::{Sample, cost};

const PROCESSES: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = std::env::var_os("CACHE_OF_READER") {
        return read(Stack::builder().cache_dir(directory).build());
    }
    let sample = Sample::from_arguments("/huge.bin", || Ok((0..20_000_000u32).map(|at| (at >> 7) as u8).collect()))?;
    let directory = sample.stack.cache_dir().ok_or("there is no default cache directory")?;
    let start = || {
        let mut reader = Command::new(std::env::current_exe()?);
        reader.arg(&sample.url).env("CACHE_OF_READER", &directory).stdout(Stdio::piped()).spawn()
    };
    let readers: Vec<_> = (0..PROCESSES).map(|_| start()).collect::<Result<_, _>>()?;
    let (mut requests, mut bytes) = (0, 0);
    for reader in readers {
        let said = String::from_utf8(reader.wait_with_output()?.stdout)?;
        print!("a process: {said}");
        let figures: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        requests += figures[1];
        bytes += figures[2];
    }
    println!("all {PROCESSES}: {requests} requests for {bytes} bytes");
    Ok(())
}

/// One of the processes, which reads all of the file.
fn read(stack: Stack) -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("give a URL")?;
    let file = stack.open(url)?;
    let mut read = 0;
    while read < file.len() {
        read += file.read_range(read..read + (8 << 20))?.len() as u64;
    }
    println!("read {read} bytes, by {}", cost(file.as_cached().ok_or("give a URL")?));
    Ok(())
}
