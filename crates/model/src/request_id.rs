//! Request ids: unique, not secret.
//!
//! A fresh UUID costs a system call for each request. Here each thread draws from its own xoshiro256++ generator, seeded by
//! the system once. Unpredictable values (secret ids, keys, nonces) come from elsewhere.

use std::cell::Cell;

use uuid::Uuid;

use crate::RequestId;

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

fn seed() -> [u64; 4] {
    // The halves of two random UUIDs: 244 random bits, never all zero because the version bits are set.
    let ((a, b), (c, d)) = (Uuid::new_v4().as_u64_pair(), Uuid::new_v4().as_u64_pair());
    [a, b, c, d]
}

impl RequestId {
    /// The next id. It is unique, but it can be guessed.
    pub fn next() -> Self {
        let [high, low] = STATE.with(|state| {
            let (first, after) = step(state.get());
            let (second, after) = step(after);
            state.set(after);
            [first, second]
        });
        Self::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }
}

/// One step of xoshiro256++ 1.0 (<https://prng.di.unimi.it/xoshiro256plusplus.c>).
fn step([a, b, c, d]: [u64; 4]) -> (u64, [u64; 4]) {
    let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
    let (c, d, shifted) = (c ^ a, d ^ b, b << 17);
    (result, [a ^ d, b ^ c, c ^ shifted, d.rotate_left(45)])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn ids_differ_within_and_between_threads() {
        let draw = || (0..1_000).map(|_| super::RequestId::next()).collect::<Vec<_>>();
        let drawn: Vec<_> =
            (0..4).map(|_| std::thread::spawn(draw)).flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 4_000);
    }

    #[test]
    fn generator_is_the_published_one() {
        // From the reference implementation, seeded with 1, 2, 3, 4.
        let mut state = [1, 2, 3, 4];
        let mut drawn = Vec::new();
        for _ in 0..3 {
            let (number, after) = super::step(state);
            drawn.push(number);
            state = after;
        }
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }
}
