//! What others have made, for the same work: `benches/peers`.
//!
//! Each is called as its own documentation says. One that cannot be installed or does not run is no reason to measure
//! nothing: the report says why its figures are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::figures::Figures;
use super::machine::version_in;
use super::{Round, home};
use crate::process::{Result, cargo, program, root, run};
use crate::python::Python;

/// Those in Python: the name of their script, and what is installed for it.
const PYTHON: [(&str, &str, &str); 4] = [
    ("svfsc_file", "svfsc", "0.4.1"),
    ("smmap_windows", "smmap", "5.0.3"),
    ("pfio_cache", "pfio", "2.7.1"),
    ("fsspec_cache", "fsspec", "2026.9.0"),
];

/// Those that are there.
#[derive(Debug)]
pub(crate) struct Peers {
    python: Option<Python>,
    foyer: Option<PathBuf>,
    workloads: PathBuf,
}

impl Peers {
    /// Installs and builds them, writes the workloads for them, and says which versions they have.
    pub(crate) fn prepare(versions: &mut BTreeMap<String, String>, figures: &mut Figures) -> Result<Self> {
        let workloads = home().join("workloads");
        run(cargo(["run", "--release", "--package", "svf-benches", "--example", "workloads", "--"]).arg(&workloads))?;
        let packages = PYTHON.map(|(_, package, version)| format!("{package}=={version}"));
        let python = Python::with("bench", &packages.each_ref().map(String::as_str));
        if python.is_ok() {
            versions.extend(PYTHON.map(|(_, package, version)| (package.to_owned(), version.to_owned())));
        }
        let python = python.map_err(|error| {
            PYTHON.iter().for_each(|(_, package, _)| note(figures, package, &format!("not installed: {error}")));
        });
        let foyer = build_foyer(versions).map_err(|error| note(figures, "foyer", &format!("not built: {error}")));
        Ok(Self { python: python.ok(), foyer: foyer.ok(), workloads })
    }

    /// Measures all of them once.
    pub(crate) fn measure(&self, round: &Round, filter: Option<&str>, figures: &mut Figures) {
        if let Some(python) = &self.python {
            for (script, package, _) in PYTHON {
                let path = root().join("benches/peers/python").join(script).with_extension("py");
                let mut command = python.program("python", []);
                self.run(command.arg(path), package, round, filter, figures);
            }
        }
        if let Some(foyer) = &self.foyer {
            self.run(&mut program(foyer, [""; 0]), "foyer", round, filter, figures);
        }
    }

    fn run(&self, command: &mut Command, peer: &str, round: &Round, filter: Option<&str>, figures: &mut Figures) {
        command.arg(&self.workloads).env("SVF_BENCH_FIGURES", round.lines());
        command.env("SVF_BENCH_FILTER", filter.unwrap_or_default()).env("PYTHONDONTWRITEBYTECODE", "1");
        if let Err(error) = run(command) {
            note(figures, peer, &format!("it failed: {error}"));
        }
    }
}

/// Says of all figures of a peer why they are missing.
fn note(figures: &mut Figures, peer: &str, why: &str) {
    let why: Vec<&str> = why.split_whitespace().collect();
    figures.note(&format!("/{peer}"), &why.join(" "));
}

/// Builds foyer's program, in a workspace of its own.
fn build_foyer(versions: &mut BTreeMap<String, String>) -> Result<PathBuf> {
    let (workspace, target) = (root().join("benches/peers"), home().join("peers"));
    let mut command = cargo(["build", "--release", "--locked", "--manifest-path"]);
    run(command.arg(workspace.join("Cargo.toml")).arg("--target-dir").arg(&target))?;
    let lock = std::fs::read_to_string(workspace.join("Cargo.lock"))?;
    versions.extend(version_in(&lock, "foyer").map(|version| ("foyer".to_owned(), version)));
    Ok(target.join("release/foyer-hits"))
}
