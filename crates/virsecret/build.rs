//! Writes the functions that the library exports and does not have, from the table in `symbols.txt`.
//!
//! ```text
//!  virDomainCreate LIBVIRT_0.0.3 stub int domain 20 7/6   ──▶   int! { virDomainCreate, 20, DOMAIN, 7, 6 }
//! ```

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=symbols.txt");
    println!("cargo::rerun-if-changed=build.rs");
    let mut text = String::new();
    for line in fs::read_to_string("symbols.txt")?.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, _, "here" | "data"] => {}
            [name, _, "stub", "void", "none", _] => writeln!(text, "void! {{ {name} }}")?,
            [name, _, "stub", kind, first, domain, null] => {
                let (code, null_domain) = null.split_once('/').unwrap_or((null, domain));
                let first = first.to_uppercase();
                writeln!(text, "{kind}! {{ {name}, {domain}, {first}, {code}, {null_domain} }}")?;
            }
            _ => return Err(format!("symbols.txt: not a row: {line}").into()),
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("unsupported.rs"), text)?;
    Ok(())
}
