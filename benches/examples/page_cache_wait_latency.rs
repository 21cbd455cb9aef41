//! What it costs a process to wait for a page that another one fetches: how long after the other has it.
//!
//! Nobody tells a process what another one has stored, so a waiter looks again and again, after pauses that grow with
//! how long it has waited.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made has no figures")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};

const PAGE: u64 = 64 << 10;
const ROUNDS: u64 = 300;
/// Set in the process that waits: the directory.
const WAITER: &str = "PAGE_CACHE_WAITER";

fn open(dir: &Path, delay: Duration) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length: 1 << 30, validators };
    let origin = FnOrigin::new("slow", stat, move |range| {
        std::thread::sleep(delay);
        Ok(vec![7; (range.end - range.start) as usize].into())
    });
    let cache = Cache::builder(dir).freshness(Freshness::Immutable).open().unwrap();
    let file = cache.file(origin).unwrap();
    file.advise(0..u64::MAX, Advice::Random);
    file
}

fn now() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// Reads each page that it is told, and tells when it had it.
fn wait(dir: &Path) {
    // It never asks: that would take for ever.
    let file = open(dir, Duration::from_secs(3600));
    for line in std::io::stdin().lines() {
        let page: u64 = line.unwrap().parse().unwrap();
        std::thread::sleep(Duration::from_millis(1));
        file.read_exact_at(&mut [0; 100], page * PAGE).unwrap();
        println!("{}", now());
    }
}

fn main() {
    if let Some(dir) = std::env::var_os(WAITER) {
        return wait(Path::new(&dir));
    }
    let directory = tempfile::tempdir().unwrap();
    println!("| the other process fetches for | waiter is behind it, p50 | p90 | p99 |\n|---|---|---|---|");
    let mut page = 0;
    for delay in [5, 20, 100] {
        let delay = Duration::from_millis(delay);
        let file = open(directory.path(), delay);
        let mut waiter = Command::new(std::env::current_exe().unwrap());
        waiter.env(WAITER, directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut waiter = waiter.spawn().unwrap();
        let mut orders = waiter.stdin.take().unwrap();
        let mut answers = BufReader::new(waiter.stdout.take().unwrap()).lines();
        let rounds = ROUNDS.min(Duration::from_secs(8).as_millis() as u64 / delay.as_millis() as u64);
        let mut behind: Vec<u64> = (0..rounds)
            .map(|_| {
                page += 1;
                writeln!(orders, "{page}").unwrap();
                file.read_exact_at(&mut [0; 100], page * PAGE).unwrap();
                let done = now();
                let other: u128 = answers.next().unwrap().unwrap().parse().unwrap();
                other.saturating_sub(done) as u64 / 1000
            })
            .collect();
        drop(orders);
        assert!(waiter.wait().unwrap().success());
        behind.sort_unstable();
        let at = |percent: usize| behind[(behind.len() - 1) * percent / 100];
        println!("| {delay:?} | {} us | {} us | {} us |", at(50), at(90), at(99));
    }
}
