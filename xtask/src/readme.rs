//! The README, done to the letter: from a fresh clone by its commands alone to a new program that reads a member of a
//! remote ZIP.

use std::io::{Cursor, Write};
use std::path::Path;

use loopback_origin::Origin;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use crate::process::{Result, output, program, root, run};

/// Where the README says that the archive is.
const URL: &str = "https://example.org/archive.zip";
/// The program's place, as the README says it.
const MAIN: &str = "src/main.rs";

/// Clones what is committed, and does there what the README says: the demo, and the program of one's own, the second
/// time without a request. The tests of the workspace, which it names as well, are a step of their own.
pub(crate) fn check() -> Result {
    let directory = TempDir::new()?;
    let clone = directory.path().join("clone");
    run(program("git", ["clone", "--quiet"]).arg(root()).arg(&clone))?;
    let readme = std::fs::read_to_string(clone.join("README.md"))?;

    let commands = blocks(&readme, "## Two commands");
    let [Block { language: "sh", text: commands }] = commands[..] else {
        return Err("the section on two commands has another number of blocks than one".into());
    };
    let demo = commands.lines().next().ok_or("there is no first command")?;
    require(demo.ends_with("-- demo"), "the first command is not the demo")?;
    let printed = shell(demo, &clone, directory.path())?;
    require(printed.contains("server sent") && printed.contains("# held"), "the demo prints something else")?;

    let server = Origin::builder().serve_bytes("/archive.zip", archive()?).start()?;
    let script = script(&blocks(&readme, "## A program of your own"), &server.url("/archive.zip"))?;
    let printed = shell(&script, &clone, directory.path())?;
    let (requests, sent) = (server.counters().requests, server.counters().body_bytes);
    require(printed.contains("member 0") && printed.contains("member 40"), "the program lists no members")?;
    require(printed.contains("100000 bytes"), "the program reads no member")?;
    require(requests > 0 && sent < 500_000, format!("{requests} requests for {sent} of 4 MB"))?;
    // Only the last command once more.
    let again = script.lines().last().ok_or("there is no last command")?;
    let again = shell(again, &directory.path().join("unzip-remote"), directory.path())?;
    require(again.contains("100000 bytes"), "the program reads no member the second time")?;
    require(server.counters().requests == requests, "the second run sent requests")?;
    println!("the README's program: {requests} requests for {sent} bytes, then none");
    Ok(())
}

/// What stands between fences.
struct Block<'a> {
    language: &'a str,
    text: &'a str,
}

/// The blocks of code of a section.
fn blocks<'a>(readme: &'a str, heading: &str) -> Vec<Block<'a>> {
    let section = readme.split_once(&format!("{heading}\n")).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    let fenced = section.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).map(|(language, text)| Block { language, text }).collect()
}

/// The commands with the program put where it belongs, and the archive's true URL.
fn script(blocks: &[Block<'_>], url: &str) -> Result<String> {
    let [Block { language: "sh", text: make }, program, Block { language: "sh", text: start }] = blocks else {
        return Err("the section on a program of your own is not commands, a program and a command".into());
    };
    require(program.language.starts_with("rust"), "the program is not in Rust")?;
    require(start.contains(URL), format!("the program is not started with {URL}"))?;
    let main = format!("cat > {MAIN} <<'END OF THE PROGRAM'\n{}END OF THE PROGRAM\n", program.text);
    Ok(format!("{make}{main}{}", start.replace(URL, url)))
}

/// Runs commands as a newcomer's shell does who is in the directory, with an empty cache, and without building
/// again what this workspace has built.
fn shell(script: &str, place: &Path, home: &Path) -> Result<String> {
    let mut shell = program("bash", ["-euo", "pipefail", "-c", script]);
    shell.current_dir(place).env("CARGO_TARGET_DIR", root().join("target")).env("XDG_CACHE_HOME", home.join("cache"));
    output(&mut shell)
}

/// 41 members of 100,000 bytes each, as they are.
fn archive() -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..41u8 {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("member {number}"), options)?;
        archive.write_all(&[number; 100_000])?;
    }
    Ok(archive.finish()?.into_inner())
}

fn require(holds: bool, otherwise: impl Into<String>) -> Result {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}
