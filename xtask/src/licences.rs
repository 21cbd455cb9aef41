//! The licences of all that is depended on: each is among those that deny.toml allows.

use serde::Deserialize;

use crate::process::{Result, cargo, output, root};

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    /// None of a package of this repository.
    source: Option<String>,
}

pub(crate) fn check() -> Result {
    let allowed = allowed(&std::fs::read_to_string(root().join("deny.toml"))?)?;
    let metadata = output(&mut cargo(["metadata", "--format-version", "1", "--all-features", "--locked"]))?;
    let packages = serde_json::from_str::<Metadata>(&metadata)?.packages;
    let others = packages.iter().filter(|package| package.source.is_some()).collect::<Vec<_>>();
    for Package { name, license, .. } in &others {
        let license = license.as_deref().ok_or_else(|| format!("{name} does not say its licence"))?;
        if !is_allowed(license, &allowed) {
            return Err(format!("{name} is licensed by {license:?}, which deny.toml does not allow").into());
        }
    }
    println!("{} packages of others, each by a licence that is allowed", others.len());
    if others.is_empty() { Err("nothing is depended on, which cannot be".into()) } else { Ok(()) }
}

/// The licences that `allow` of deny.toml lists, one a line.
fn allowed(deny: &str) -> Result<Vec<String>> {
    let list = deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).ok_or("no list of licences")?.0;
    let named: Vec<_> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    if named.is_empty() { Err("deny.toml allows no licence".into()) } else { Ok(named) }
}

/// Whether an SPDX expression, or one of cargo's older form with a slash, can be met by licences that are allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let mut words = spaced.split_whitespace().peekable();
    any(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read, whatever the first one says.
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    match words.next() {
        Some("(") => {
            let met = any(words, allowed);
            words.next() == Some(")") && met
        }
        Some(name) => allowed.contains(&name.replace("+WITH+", " WITH ")),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_as_spdx_has_it() {
        let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("ISC AND (MIT OR GPL-3.0)", true),
            ("(GPL-3.0 OR MIT) AND LGPL-2.1", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("Apache-2.0", false),
            ("MIT)", false),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
        }
    }
}
