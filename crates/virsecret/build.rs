//! Writes the functions that the library exports and does not have, from the table in `symbols.txt`.
//!
//! ```text
//!  virDomainCreate LIBVIRT_0.0.3 stub int domain 20 7/6
//!      ──▶   int! { virDomainCreate, "virDomainCreate", 20, DOMAIN, 7, 6 }
//!  virDomainGetInfo LIBVIRT_0.0.3 stub int domain 20 7/6 2:40
//!      ──▶   emptying! { virDomainGetInfo, 20, DOMAIN, 7, 6, [], 40, false }
//! ```
//!
//! Those of `symbols-qemu.txt` and `symbols-lxc.txt` get names of their own, by which the libraries of these names call
//! them: see `xtask/src/library.rs`.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What the names of functions begin with that only a library of ours calls.
const PRIVATE: &str = "virsecret_";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut text = String::new();
    for (table, prefix) in [("symbols.txt", ""), ("symbols-qemu.txt", PRIVATE), ("symbols-lxc.txt", PRIVATE)]
    {
        println!("cargo::rerun-if-changed={table}");
        for line in fs::read_to_string(table)?.lines().filter(|line| !line.starts_with('#')) {
            row(line, prefix, &mut text).ok_or_else(|| format!("{table}: not a row: {line}"))?;
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("unsupported.rs"), text)?;
    Ok(())
}

fn row(line: &str, prefix: &str, text: &mut String) -> Option<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [_, _, "here" | "data"] => Some(()),
        [name, _, "stub", "void", "none", _] => writeln!(text, "void! {{ {name} }}").ok(),
        [name, _, "stub", kind, first, domain, null, ref out @ ..] => {
            let (code, null_domain) = null.split_once('/').unwrap_or((null, domain));
            let row = format!("{domain}, {}, {code}, {null_domain}", first.to_uppercase());
            match out {
                [] => writeln!(text, "{kind}! {{ {prefix}{name}, \"{name}\", {row} }}").ok(),
                [out] if kind == "int" => {
                    let (argument, bytes) = out.split_once(':')?;
                    // One name for each argument between the first and this.
                    let between = match argument {
                        "2" => "",
                        "3" => "_second",
                        _ => return None,
                    };
                    let (bytes, is_first_checked) = match bytes.strip_suffix("/first") {
                        Some(bytes) => (bytes, true),
                        None => (bytes, false),
                    };
                    writeln!(text, "emptying! {{ {name}, {row}, [{between}], {bytes}, {is_first_checked} }}")
                        .ok()
                }
                _ => None,
            }
        }
        _ => None,
    }
}
