//! A viewer that scrolls through a file larger than the memory that it is given, by pages and by windows.
//!
//! `cargo run -p svf-facade --example viewer [-- URL]`

mod sample;

use std::error::Error;
use std::ops::ControlFlow;

use svf::window_mman::MapManager;
use tempfile::TempDir;

use self::sample::{Sample, cost};

/// What may be mapped at once, in bytes.
const MEMORY: u64 = 1 << 20;
/// What fits the screen.
const SCREEN: u64 = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    let sample = Sample::from_arguments("/huge.log", make)?;
    // All of it to local disk: it is fetched as the bytes that are missing, and copied out of the cache.
    let remote = sample.stack.open(&sample.url)?;
    let directory = TempDir::new()?;
    let path = directory.path().join("huge.log");
    let cached = remote.as_cached().ok_or("give a URL")?;
    cached.prefetch(&[0..cached.len()], |_| ControlFlow::Continue(()))?;
    cached.export(&path)?;
    println!("{}", cost(cached));

    let manager = MapManager::builder().window_size(256 << 10).max_mapped_bytes(MEMORY).build()?;
    let file = manager.open(&path)?;
    let screens = file.len() / SCREEN;

    // By pages: four buffers, filled around where one looks; safe on any file, also one that grows meanwhile.
    let mut pages = file.paged();
    let mut lines = 0;
    for screen in (0..screens).chain((0..screens).rev()) {
        let first = (screen * SCREEN) as i64;
        lines += pages.slice(first..first + SCREEN as i64)?.iter().filter(|&&byte| byte == b'\n').count();
    }
    println!("by pages: {lines} lines in {screens} screens down and up, {} bytes of memory", 4 * pages.page_size());

    // By windows: the file's own memory, without a copy.
    // SAFETY: nobody else knows the copy, so nobody truncates or rewrites it.
    let mut cursor = unsafe { file.assume_stable() }.cursor();
    let (mut lines, mut most) = (0, 0);
    for screen in (0..screens).chain((0..screens).rev()) {
        let bytes = cursor.use_region(screen * SCREEN..(screen + 1) * SCREEN)?;
        lines += bytes[..SCREEN as usize].iter().filter(|&&byte| byte == b'\n').count();
        most = most.max(manager.stats().mapped_bytes);
    }
    println!("by windows: {lines} lines in {screens} screens down and up, at most {most} bytes mapped");
    Ok(())
}

/// Lines of 100 bytes.
fn make() -> Result<Vec<u8>, Box<dyn Error>> {
    Ok((0..160_000).flat_map(|number| format!("{number:>99}\n").into_bytes()).collect())
}
