//! The cases.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitStatus};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use window_mman::{CopyError, MapManager, StableFile};

const PAGE: usize = 4096;
const CASE: &str = "WINDOW_MMAN_CASE";

type Case = (&'static str, fn(), fn(ExitStatus) -> bool);

/// Each is run in a process of its own, and ends as it says.
const CASES: [Case; 19] = [
    ("a program's own handler gets its own faults", own_handler, |status| status.success()),
    ("a handler without information gets them too", plain_handler, |status| status.code() == Some(42)),
    ("a handler that was installed later hands on to ours", later_handler, |status| status.success()),
    ("a handler for one fault is called once", handler_for_one, |status| status.signal() == Some(libc::SIGBUS)),
    ("without a handler a fault ends the process as ever", own_fault, |status| status.signal() == Some(libc::SIGBUS)),
    ("a fault cannot be ignored", ignored_fault, |status| status.signal() == Some(libc::SIGBUS)),
    ("a signal that was sent can", ignored_signal, |status| status.success()),
    ("a signal that was sent and not ignored ends it", sent_signal, |status| status.signal() == Some(libc::SIGBUS)),
    ("a signal that was sent leaves the copies as they are", sent_signal_with_std, |status| status.success()),
    ("two signals that were sent end it as ever", two_sent_signals, |status| status.signal() == Some(libc::SIGBUS)),
    ("a thread that blocks the signal is let through", blocked_signal, |status| status.success()),
    ("a fault of what is copied to is the program's own", own_destination, |status| status.success()),
    ("no descriptors left", no_descriptors_left, |status| status.success()),
    ("no addresses left", no_addresses_left, |status| status.success()),
    ("no mappings left", no_mappings_left, |status| status.success()),
    ("no mappings left beside a limit", no_mappings_left_beside_a_limit, |status| status.success()),
    ("no memory left for a page", no_memory_left, |status| status.success()),
    ("children of a fork go on", forks, |status| status.success()),
    ("a child of a fork unmaps what it has mapped", child_unmaps, |status| status.success()),
];

pub(crate) fn main() {
    if let Some(wanted) = std::env::var_os(CASE) {
        let (_, case, _) = CASES.iter().find(|(name, ..)| wanted == *name).unwrap();
        return case();
    }
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    for (name, _, expected) in CASES.iter().filter(|(name, ..)| name.contains(&wanted)) {
        match run(name, Duration::from_secs(120)) {
            Ok(status) if expected(status) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            ended => {
                println!("test {name} ... FAILED: {ended:?}");
                failed += 1;
            }
        }
    }
    println!("\ntest result: {passed} passed, {failed} failed");
    assert_eq!(failed, 0);
}

/// Runs a case in a process of its own, which is ended when it takes too long, and what it has started with it.
fn run(name: &str, most: Duration) -> Result<ExitStatus, &'static str> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.env(CASE, name).process_group(0).spawn().unwrap();
    let end = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ok(status);
        }
        if Instant::now() > end {
            let group = -child.id().cast_signed();
            // SAFETY: a signal to the group of a child that was not waited for yet, which started it.
            unsafe { libc::kill(group, libc::SIGKILL) };
            child.wait().unwrap();
            return Err("it hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A mapping of which only the first of three pages is left, and a view of the same.
struct Cut {
    map: memmap2::Mmap,
    view: window_mman::View,
    _file: File,
}

impl Cut {
    fn new() -> Self {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 3 * PAGE], 0).unwrap();
        // SAFETY: what is cut off below is what the cases are about.
        let map = unsafe { memmap2::MmapOptions::new().len(3 * PAGE).map(&file) }.unwrap();
        // SAFETY: what is cut off is only copied.
        let stable = unsafe { MapManager::new().open_file(file.try_clone().unwrap()).unwrap().assume_stable() };
        let view = stable.view(0..3 * PAGE as u64).unwrap();
        file.set_len(PAGE as u64).unwrap();
        Self { map, view, _file: file }
    }

    /// A fault of ours, which is an error.
    fn our_fault(&self) {
        let mut out = [0; 100];
        self.view.try_copy_to(0, &mut out).unwrap();
        assert_eq!(out, [7; 100]);
        let error = self.view.try_copy_to(PAGE + 5, &mut out).unwrap_err();
        assert!(matches!(error, CopyError::Fault { .. }));
    }

    /// A fault of the program's own.
    fn own_fault(&self) -> u8 {
        let address = self.map.as_ptr().wrapping_add(PAGE + 7);
        // SAFETY: it is mapped; that it faults is for the handler.
        unsafe { ptr::read_volatile(address) }
    }
}

static OWN: AtomicUsize = AtomicUsize::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

/// Puts a page of zeros where the fault was, and goes on.
extern "C" fn mend(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    OWN.fetch_add(1, Ordering::SeqCst);
    // SAFETY: what the kernel hands over; and the page is the program's own mapping.
    unsafe {
        let address = (*info).si_addr() as usize;
        ADDRESS.store(address, Ordering::SeqCst);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        libc::mmap((address & !(PAGE - 1)) as *mut _, PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
    }
}

extern "C" fn leave(_: libc::c_int) {
    // SAFETY: allowed in a handler.
    unsafe { libc::_exit(42) }
}

fn install(handler: libc::sighandler_t, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: all zeros are a valid `sigaction`, and the handlers above keep to what one may do.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before), 0);
        before
    }
}

fn mending() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = mend;
    handler as libc::sighandler_t
}

fn own_handler() {
    install(mending(), libc::SA_SIGINFO);
    let cut = Cut::new();
    cut.our_fault();
    assert_eq!(OWN.load(Ordering::SeqCst), 0, "ours is not the program's");
    assert_eq!(cut.own_fault(), 0);
    assert_eq!(OWN.load(Ordering::SeqCst), 1);
    assert_eq!(ADDRESS.load(Ordering::SeqCst), cut.map.as_ptr() as usize + PAGE + 7);
    cut.our_fault();
    assert_eq!(OWN.load(Ordering::SeqCst), 1);
}

fn plain_handler() {
    let handler: extern "C" fn(libc::c_int) = leave;
    install(handler as libc::sighandler_t, 0);
    let cut = Cut::new();
    cut.our_fault();
    cut.own_fault();
}

static BEFORE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

/// As a program should do that comes later: what is not its own it hands on.
extern "C" fn later(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    OWN.fetch_add(1, Ordering::SeqCst);
    // SAFETY: it is the handler that was installed before this one, with the same parameters.
    unsafe {
        let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            std::mem::transmute(*BEFORE.get().unwrap());
        before(signal, info, context);
    }
}

fn later_handler() {
    let cut = Cut::new();
    cut.our_fault();
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = later;
    let before = install(handler as libc::sighandler_t, libc::SA_SIGINFO);
    BEFORE.set(before.sa_sigaction).unwrap();
    cut.our_fault();
    assert_eq!(OWN.load(Ordering::SeqCst), 1);
}

fn handler_for_one() {
    install(mending(), libc::SA_SIGINFO | libc::SA_RESETHAND);
    let (cut, other) = (Cut::new(), Cut::new());
    cut.our_fault();
    cut.own_fault();
    other.our_fault();
    other.own_fault();
}

fn own_fault() {
    let cut = Cut::new();
    cut.our_fault();
    cut.own_fault();
}

fn ignored_fault() {
    install(libc::SIG_IGN, 0);
    own_fault();
}

fn ignored_signal() {
    install(libc::SIG_IGN, 0);
    let cut = Cut::new();
    cut.our_fault();
    // SAFETY: a signal to this process.
    unsafe { libc::raise(libc::SIGBUS) };
    cut.our_fault();
}

fn sent_signal() {
    install(libc::SIG_DFL, 0);
    let cut = Cut::new();
    cut.our_fault();
    // SAFETY: a signal to this process.
    unsafe { libc::raise(libc::SIGBUS) };
}

/// The standard library's handler takes itself away.
fn sent_signal_with_std() {
    let cut = Cut::new();
    cut.our_fault();
    // SAFETY: a signal to this process.
    unsafe { libc::raise(libc::SIGBUS) };
    cut.our_fault();
}

/// What is left behind it is the default.
fn two_sent_signals() {
    sent_signal_with_std();
    // SAFETY: a signal to this process.
    unsafe { libc::raise(libc::SIGBUS) };
}

fn blocked_signal() {
    let cut = Cut::new();
    let block = || {
        // SAFETY: all zeros are a valid set, which lives here.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut()), 0);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let cut = &cut;
            scope.spawn(move || {
                block();
                cut.our_fault();
            });
        }
    });
    block();
    cut.our_fault();
}

fn own_destination() {
    install(mending(), libc::SA_SIGINFO);
    let source = Cut::new();
    source.our_fault();
    for len in [1, 5, 12, 100, 1000, 3000] {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * PAGE as u64).unwrap();
        // SAFETY: what is cut off below is what this is about, and is there again after the fault.
        let mut to = unsafe { memmap2::MmapOptions::new().len(2 * PAGE).map_mut(&file) }.unwrap();
        file.set_len(0).unwrap();
        OWN.store(0, Ordering::SeqCst);
        source.view.try_copy_to(0, &mut to[100..100 + len]).unwrap();
        assert_eq!((&to[100..100 + len], OWN.load(Ordering::SeqCst)), (&[7; 3000][..len], 1));
    }
}

fn limit(what: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: reads the limit that it is given.
    assert_eq!(unsafe { libc::setrlimit(what, &raw const limit) }, 0);
}

/// The system has fewer than the manager believes: it closes its own, and tries once more.
fn no_descriptors_left() {
    let directory = tempfile::tempdir().unwrap();
    let manager = MapManager::builder().max_open_files(1000).build().unwrap();
    let path = |file: usize| directory.path().join(file.to_string());
    (0..100).for_each(|file| std::fs::write(path(file), file.to_string()).unwrap());
    limit(libc::RLIMIT_NOFILE, 20);
    let files: Vec<_> = (0..100).map(|file| manager.open(path(file)).unwrap()).collect();
    for (number, file) in files.iter().enumerate() {
        assert_eq!(file.bytes(0..9).unwrap(), number.to_string());
    }
    // With none of its own to close it is an error that says what to do.
    let mut files = files;
    files.truncate(1);
    let _others: Vec<File> = std::iter::from_fn(|| File::open(path(0)).ok()).collect();
    let error = manager.open(path(1)).unwrap_err().to_string();
    assert!(error.contains("ulimit -n"), "{error}");
    let error = files[0].bytes(0..1).unwrap_err().to_string();
    assert!(error.contains("ulimit -n"), "{error}");
}

/// The same for mappings: what nobody holds is unmapped, and the map is tried once more.
fn no_addresses_left() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 << 30).unwrap();
    let manager = MapManager::builder().window_size(16 << 20).build().unwrap();
    // SAFETY: nobody else knows this file.
    let file = unsafe { manager.open_file(file).unwrap().assume_stable() };
    limit(libc::RLIMIT_AS, 1 << 30);
    for window in 0..256_u64 {
        assert_eq!(file.view(window << 24..(window << 24) + 9).unwrap(), [0; 9]);
    }
    let stats = manager.stats();
    assert!(stats.maps == 256 && stats.mapped_regions < 64, "{stats:?}");
    let mut held = Vec::new();
    let error = (0..256_u64).find_map(|window| match file.view(window << 24..(window << 24) + 9) {
        Ok(view) => {
            held.push(view);
            None
        }
        Err(error) => Some(error.to_string()),
    });
    assert!(error.unwrap().contains("drop views"));
}

/// How many mappings a process may have; none if that is more than a test should make.
fn most_mappings() -> Option<u64> {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 300_000 {
        eprintln!("skipped: {most} mappings are too many to use up");
        return None;
    }
    Some(most)
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// A file of holes, with windows of a page, of which no two lie side by side if every second one is looked at.
fn many_windows(most: usize) -> (MapManager, StableFile) {
    let file = tempfile::tempfile().unwrap();
    file.set_len((1 << 20) * PAGE as u64).unwrap();
    let manager = MapManager::builder().window_size(PAGE as u64).max_regions(most).build().unwrap();
    // SAFETY: nobody else knows this file.
    let file = unsafe { manager.open_file(file).unwrap().assume_stable() };
    (manager, file)
}

fn look(file: &StableFile, window: u64) -> Result<window_mman::View, window_mman::ViewError> {
    file.view(2 * window * PAGE as u64..2 * window * PAGE as u64 + 1)
}

/// More windows than the system has mappings: what nobody holds is unmapped, and the map is tried once more.
fn no_mappings_left() {
    let Some(most) = most_mappings() else { return };
    let (manager, file) = many_windows(usize::MAX);
    for window in 0..most + most / 2 {
        assert_eq!(look(&file, window).unwrap(), [0]);
    }
    let stats = manager.stats();
    assert!(stats.maps == most + most / 2 && (stats.mapped_regions as u64) < most, "{stats:?}");
    manager.collect();
    assert!(mappings() < 1000, "{}", mappings());
}

/// Others have used up the mappings: what is mapped in the place of something else needs no more of them.
fn no_mappings_left_beside_a_limit() {
    let Some(_) = most_mappings() else { return };
    let (full, others) = many_windows(usize::MAX);
    let (manager, file) = many_windows(100);
    (0..100).for_each(|window| drop(look(&file, window).unwrap()));
    let mut held = Vec::new();
    let error = (1000..500_000).find_map(|window| look(&others, window).map(|view| held.push(view)).err());
    assert!(error.unwrap().to_string().contains("max_map_count"));
    for window in 1000..1300 {
        assert_eq!(look(&file, window).unwrap(), [0]);
    }
    let stats = manager.stats();
    assert!(stats.maps == 400 && stats.mapped_regions <= 100, "{stats:?}");
    drop(held);
    full.collect();
    manager.collect();
    assert!(mappings() < 1000, "{}", mappings());
}

/// A page may be as long as the file, and longer than memory: an error, and not the end of the process.
fn no_memory_left() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 << 30).unwrap();
    let mut paged = MapManager::new().open_file(file).unwrap().paged();
    limit(libc::RLIMIT_AS, 1 << 30);
    assert_eq!(paged.get(5).unwrap(), Some(0));
    let mut paged = paged.with_page_size(std::num::NonZeroUsize::MAX);
    let error = paged.get(5).unwrap_err();
    assert!(matches!(error, window_mman::ReadError::OutOfMemory { .. }), "{error:?}");
    assert!(paged.get(-1).is_err());
    assert_eq!(paged.slice(1 << 31..(1 << 31) + 2).unwrap_err().to_string(), error.to_string());
}

/// Other threads hold every lock there is while this one forks; the children map, read, open and drop.
fn forks() {
    let directory = tempfile::tempdir().unwrap();
    let path = |file: usize| directory.path().join(file.to_string());
    let content: Vec<u8> = (0..200 * PAGE).map(|offset| (offset / 7) as u8).collect();
    (0..4).for_each(|file| std::fs::write(path(file), &content).unwrap());
    let builder = MapManager::builder().window_size(PAGE as u64).max_regions(8).max_open_files(2);
    let manager = builder.build().unwrap();
    // SAFETY: nobody writes to these files any more.
    let open = |file: usize| unsafe { manager.open(path(file)).unwrap().assume_stable() };
    let look = |file: &StableFile, page: usize| {
        let start = page % 200 * PAGE + 5;
        let expected = &content[start..start + 50];
        assert_eq!(file.view(start as u64..start as u64 + 50).unwrap(), expected);
        assert_eq!(file.file().bytes(start as u64..start as u64 + 50).unwrap(), expected);
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&done);
        for thread in 0..3 {
            let (done, open, look) = (&done, &open, &look);
            scope.spawn(move || {
                let files: Vec<_> = (0..4).map(open).collect();
                let mut step = thread;
                while !done.load(Ordering::Relaxed) {
                    step += 1;
                    look(&files[step % 4], step * 31);
                    drop(open(step % 4));
                }
            });
        }
        let panicked = in_child(|| std::panic::resume_unwind(Box::new("a child never goes on as its parent")));
        assert!(panicked.is_err());
        for round in 0..60 {
            let files: Vec<_> = (0..4).map(open).collect();
            let given = manager.open_file(File::open(path(0)).unwrap()).unwrap();
            let held = files[0].view(0..10).unwrap();
            let mut cursor = files[1].cursor();
            cursor.use_region(3..9).unwrap();
            let (look, open, manager, content) = (&look, &open, &manager, &content);
            in_child(move || {
                for step in 0..40 {
                    look(&files[step % 4], step * 13 + round);
                }
                assert_eq!(held, content[..10]);
                let start = 77 * PAGE as u64;
                assert_eq!(cursor.use_region(start..start + 9).unwrap(), &content[77 * PAGE..][..9]);
                assert_eq!(given.bytes(5..9).unwrap(), content[5..9]);
                let fresh = open(2);
                look(&fresh, 5);
                assert!(manager.stats().mapped_regions <= 9, "its own");
                let _ = (manager.collect(), manager.regions());
                drop((fresh, files, held, cursor, given));
            })
            .unwrap_or_else(|ended| panic!("round {round}: {ended}"));
        }
    });
}

/// A file that was opened before a fork: what a child has mapped of it goes with the child's last handle.
fn child_unmaps() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, vec![7; 20 * PAGE]).unwrap();
    let manager = MapManager::builder().window_size(PAGE as u64).build().unwrap();
    let file = manager.open(&path).unwrap();
    drop(file.copy_view(0..1).unwrap());
    let manager = &manager;
    in_child(move || {
        let view = |page: usize| file.copy_view((page * PAGE) as u64..(page * PAGE) as u64 + 1).unwrap();
        (5..15).for_each(|page| drop(view(page)));
        let held = view(15);
        assert_eq!(manager.regions().len(), 11);
        assert_eq!(manager.stats().mapped_regions, 11);
        drop(file);
        let left: Vec<_> = manager.regions().into_iter().map(|region| region.range.start).collect();
        assert_eq!(left, [15 * PAGE as u64], "what is held");
        let mut out = [0];
        held.try_copy_to(0, &mut out).unwrap();
        assert_eq!(out, [7]);
        drop(held);
        assert!(manager.regions().is_empty());
        assert_eq!(manager.stats().mapped_regions, 0);
    })
    .unwrap();
}

/// Runs `child` in a child of a fork, which never goes back to what its parent was doing, also if it panics.
fn in_child(child: impl FnOnce()) -> Result<(), String> {
    // SAFETY: the child is this thread alone, and it leaves by `_exit`.
    let process = unsafe { libc::fork() };
    assert!(process >= 0);
    if process == 0 {
        let failed = catch_unwind(AssertUnwindSafe(child)).is_err();
        // SAFETY: nothing of the parent's is run.
        unsafe { libc::_exit(i32::from(failed)) }
    }
    let end = Instant::now() + Duration::from_secs(20);
    let mut status = 0;
    // SAFETY: waits for the child.
    while unsafe { libc::waitpid(process, &raw mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > end {
            // SAFETY: a signal to the child, which was not waited for yet, and then the wait.
            unsafe { (libc::kill(process, libc::SIGKILL), libc::waitpid(process, &raw mut status, 0)) };
            return Err("the child hangs".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 { Ok(()) } else { Err(format!("{status:#x}")) }
}

/// Ends the other threads, also when this one panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
