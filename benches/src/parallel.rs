//! The same work in several threads or processes at once.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::workloads::QUERIES;

/// How often each of several readers does its work in a turn, for some milliseconds.
pub const TURN: usize = 16 * QUERIES;

/// How long so many threads take for their work, from the first that begins to the last that ends.
///
/// They wait for each other before; a turn of a millisecond and more is long beside the moment in which they wake.
///
/// # Panics
///
/// If one of them does.
#[must_use]
pub fn in_threads(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    let (ready, work) = (Barrier::new(threads), &work);
    let one = |thread| {
        ready.wait();
        let begun = Instant::now();
        work(thread);
        (begun, Instant::now())
    };
    let times = thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let begun = times.iter().map(|(begun, _)| begun).min();
    let ended = times.iter().map(|(_, ended)| ended).max();
    ended.zip(begun).map_or(Duration::ZERO, |(ended, begun)| *ended - *begun)
}

/// A process that does a turn of its work whenever it is told to, and ends when this is dropped.
#[derive(Debug)]
pub struct Worker {
    process: Child,
    done: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one, which is to call [`work_in_turn`].
    ///
    /// # Panics
    ///
    /// If the program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let done = BufReader::new(process.stdout.take().unwrap());
        Self { process, done }
    }

    /// How long these take for a turn, from the first that is told to the last that is done.
    ///
    /// # Panics
    ///
    /// If one of them has failed.
    pub fn turn(workers: &mut [Self]) -> Duration {
        let begun = Instant::now();
        for worker in &mut *workers {
            worker.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
        for worker in workers {
            let mut line = String::new();
            worker.done.read_line(&mut line).unwrap();
            assert_eq!(line, "\n", "a worker says so when it is done");
        }
        begun.elapsed()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let status = self.process.wait().unwrap();
        if thread::panicking() {
            eprintln!("a worker: {status}");
        } else {
            assert!(status.success(), "a worker: {status}");
        }
    }
}

/// The work of a [`Worker`]'s process, until nobody tells it to any more.
///
/// # Panics
///
/// If who started it cannot be heard or told.
pub fn work_in_turn(mut work: impl FnMut()) {
    for line in std::io::stdin().lines() {
        line.unwrap();
        work();
        println!();
    }
}
