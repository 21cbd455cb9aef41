//! The power is cut: the image of a mounted file system is copied at a random moment, with what its writer has sent to
//! the disk by then and without the rest, and the copy is mounted as after a start of the system.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Result, cargo, output, program, run};

const SIGKILL: i32 = 9;
const IMAGE_BYTES: u64 = 96 << 20;

/// Which files the system has written out before the cut, beyond what it did by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flushed {
    Nothing,
    Data,
    Index,
    All,
}

/// Cuts the power so many times, and checks what is left each time.
pub(super) fn cut(times: u64) -> Result {
    run(&mut cargo(["test", "--package", "page-cache", "--test", "power", "--no-run"]))?;
    let test = test_program()?;
    let directory = TempDir::new()?;
    let mut random = 0x5EED_u64;
    for number in 0..times {
        let flushed = [Flushed::Data, Flushed::Index, Flushed::Nothing, Flushed::All][number as usize % 4];
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(50 + (random >> 33) % 1_200);
        let found = cut_once(directory.path(), &test, number, flushed, after)
            .map_err(|error| format!("cut {number} after {after:?} with {flushed:?} flushed: {error}"))?;
        println!("cut {number:>3} after {:>4} ms, flushed {flushed:?}: {found}", after.as_millis());
    }
    println!("{times} cuts, no wrong byte and no block that nobody vouches for");
    Ok(())
}

/// The path of the test program, as cargo tells it.
fn test_program() -> Result<PathBuf> {
    let arguments = ["test", "--package", "page-cache", "--test", "power", "--no-run", "--message-format=json"];
    let text = output(&mut cargo(arguments))?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "power");
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    Ok(program.ok_or("cargo does not say where the test is")?)
}

/// A file system in an image, mounted for as long as this lives.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    fn new(image: &Path, at: PathBuf) -> Result<Self> {
        fs::create_dir_all(&at)?;
        output(program("mount", ["-o", "loop"]).arg(image).arg(&at))?;
        Ok(Self { at })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What stays mounted shows in the next mount, which fails.
        _ = output(program("umount", ["--lazy"]).arg(&self.at));
    }
}

/// One cut; what the check of the rest says.
fn cut_once(directory: &Path, test: &Path, number: u64, flushed: Flushed, after: Duration) -> Result<String> {
    let [image, copy, kept] = ["image", "copy", "kept"].map(|name| directory.join(name));
    for path in [&image, &copy, &kept] {
        _ = fs::remove_file(path);
    }
    File::create(&image)?.set_len(IMAGE_BYTES)?;
    output(program("mkfs.ext4", ["-q", "-F"]).arg(&image))?;
    {
        let mounted = Mounted::new(&image, directory.join("mounted"))?;
        let cache = mounted.at.join("cache");
        // What was there before the writer that is cut off: some of it is on the disk for sure.
        let first = part(test, "write", &cache, number).stdout(Stdio::null()).status()?;
        if !first.success() {
            return Err("the writer failed".into());
        }
        output(program("sync", ["--file-system"]).arg(&mounted.at))?;
        let mut writer = part(test, "write on", &cache, number).env("KEPT", &kept).stdout(Stdio::null()).spawn()?;
        sleep(after);
        let flushed = flush(&cache, flushed);
        writer.kill()?;
        let status = writer.wait()?;
        flushed?;
        // One that ended before has read a wrong byte, or was ended by what should not have happened to it.
        if status.signal() != Some(SIGKILL) {
            return Err(format!("the writer ended by itself: {status}").into());
        }
        output(program("cp", ["--sparse=always"]).arg(&image).arg(&copy))?;
    }
    // As a start of the system does it: the journal is replayed, and what a copy in the middle of a write has torn.
    let repaired = program("e2fsck", ["-f", "-y"]).arg(&copy).output()?;
    if repaired.status.code().is_none_or(|code| code > 1) {
        return Err(format!("the copied file system cannot be repaired: {repaired:?}").into());
    }
    let mounted = Mounted::new(&copy, directory.join("restarted"))?;
    let cache = mounted.at.join("cache");
    forget_boot(&cache)?;
    Ok(output(part(test, "check", &cache, number).env("KEPT", &kept))?.trim().to_owned())
}

/// The test program with a part to play.
fn part(test: &Path, part: &str, cache: &Path, seed: u64) -> Command {
    let mut command = program::<&str>(test, []);
    command.env("POWER_PART", part).env("CACHE", cache).env("SEED", seed.to_string());
    command
}

/// Has the system write out files of one kind.
fn flush(cache: &Path, flushed: Flushed) -> Result {
    let endings: &[&str] = match flushed {
        Flushed::Nothing => &[],
        Flushed::Data => &["data"],
        Flushed::Index => &["index"],
        Flushed::All => &["data", "index"],
    };
    for path in pairs(cache)?.iter().filter(|path| endings.iter().any(|ending| path.ends_with_ending(ending))) {
        // It may be deleted meanwhile.
        if let Ok(file) = File::open(path) {
            file.sync_all()?;
        }
    }
    Ok(())
}

trait Ending {
    fn ends_with_ending(&self, ending: &str) -> bool;
}

impl Ending for PathBuf {
    fn ends_with_ending(&self, ending: &str) -> bool {
        self.extension().is_some_and(|extension| extension == ending)
    }
}

fn pairs(cache: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = cache.join("pairs").read_dir() else { return Ok(Vec::new()) };
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// The system was not started anew in truth, so the boot ids in the files are made those of another boot. Where they
/// stand is told in `docs/on-disk-format.md`.
fn forget_boot(cache: &Path) -> Result {
    let change = |path: &Path, offset: u64| -> Result {
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.size() > offset + 16 {
            file.write_all_at(&[0xEE; 16], offset)?;
        }
        Ok(())
    };
    let control = cache.join("control");
    if control.exists() {
        change(&control, 64)?;
    }
    for index in pairs(cache)?.iter().filter(|path| path.ends_with_ending("index")) {
        change(index, 4096 + 8)?;
    }
    Ok(())
}
