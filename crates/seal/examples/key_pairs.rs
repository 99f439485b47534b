//! Measures how long key pairs take: `cargo run --release -p seal --example key_pairs [PAIRS]`, PAIRS (60) of each kind.
//!
//! Luck decides how long the search for a prime takes, so it prints the spread of the times, not the best.

#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::time::{Duration, Instant};

use seal::generate::{PairBits, PairKind, key_pair};

fn main() {
    let pairs = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(60);
    for kind in [PairKind::Rsa, PairKind::Dsa] {
        for bits in [PairBits::B1024, PairBits::B2048, PairBits::B4096] {
            let mut times: Vec<Duration> = (0..pairs).map(|_| time(kind, bits)).collect();
            times.sort();
            let mean = times.iter().sum::<Duration>() / pairs;
            let at =
                |percent: usize| times.get((times.len() - 1) * percent / 100).copied().unwrap_or_default();
            println!(
                "{kind:?} {bits:?}: mean {mean:.1?}, median {:.1?}, 95% {:.1?}, last {:.1?}",
                at(50),
                at(95),
                at(100)
            );
        }
    }
}

fn time(kind: PairKind, bits: PairBits) -> Duration {
    let start = Instant::now();
    key_pair(kind, bits, None).expect("a pair is found within the limit");
    start.elapsed()
}
