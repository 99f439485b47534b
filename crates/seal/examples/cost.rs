//! Measures the hot paths: `cargo run --release -p seal --example cost`.
//!
//! It prints the best of several rounds, because the machine may be busy with other work.

#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::hint::black_box;
use std::time::Instant;

use model::{Guarded, KeyVersion, ProjectId, SecretId, Standing, Text, UserId};
use seal::{Bound, Error, MasterKey, Payload, check_acl};

const ROUNDS: u32 = 20;
const CALLS: u32 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let master = MasterKey::random()?;
    let project = ProjectId::try_from("6f1e0f6c4a4b4a0c9d8a1f0e2b3c4d5e")?;
    let (key, wrapped) = master.new_project_key(&project, KeyVersion::FIRST)?;
    let bound = Bound { secret: SecretId::random(), private: false };
    for length in [32, 1_000, 20_000] {
        let payload = Payload::new(vec![7; length]);
        let sealed = key.seal(&bound, &payload)?.into_vec();
        measure(&format!("seal {length} bytes"), || key.seal(&bound, &payload).map(drop))?;
        measure(&format!("open {length} bytes"), || key.open(&bound, &sealed).map(drop))?;
    }
    measure("unwrap project key", || {
        master.unwrap_project_key(&project, KeyVersion::FIRST, &wrapped).map(drop)
    })?;
    let (creator, of) =
        (UserId::try_from("0123456789abcdef0123456789abcdef")?, Guarded::Secret(bound.secret));
    let standing = Standing {
        of,
        project: &project,
        creator: Some(&creator),
        project_access: true,
        private: false,
        expiration: None,
    };
    let guard = key.guard(&standing, None);
    measure("guard", || {
        black_box(key.guard(&standing, None));
        Ok(())
    })?;
    measure("check a guard", || key.check_guard(&standing, &guard))?;
    let users: Vec<_> =
        (0..10).filter_map(|n| Text::try_from(format!("user-{n:027}").as_str()).ok()).collect();
    let guard = key.guard(&standing, Some(&users));
    measure("check a guard with an ACL", || key.check_guard(&standing, &guard))?;
    measure("check an ACL of 10 users", || check_acl(&guard, Some(&users)))?;
    let (chain, line, mut link) = (master.chain_key(), [b'x'; 300], [0; 32]);
    measure("link a line of 300 bytes", || {
        link = chain.link(&link, &line);
        Ok(())
    })?;
    black_box(link);
    Ok(())
}

fn measure(name: &str, mut call: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    let mut best_ns = u128::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call())?;
        }
        best_ns = best_ns.min(start.elapsed().as_nanos() / u128::from(CALLS));
    }
    println!("{name:28} {best_ns:6} ns");
    Ok(())
}
