//! Keystone's answers, each for a time: one cache for all threads, so that a token is valid on all of them or on none.
//!
//! The key is the SHA-256 of a token, so no entry lets anybody in. Valid and invalid tokens have a cache each: garbage
//! pushes out other garbage, and no session. Why this is no crate: decision 25.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use model::Timestamp;
use tokio::time::Instant;

/// Parts with a lock of their own.
const SHARDS: usize = 16;

/// The key of a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key([u8; 32]);

/// Whether a token may have expired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expired {
    /// It may not.
    Refused,
    /// It may, as long ago as Keystone allows, since a service vouches for it.
    Allowed,
}

impl Key {
    /// The answer depends on `expired`, so the key does too.
    pub(super) fn of_token(token: &str, expired: Expired) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(match expired {
            Expired::Refused => b"token\0",
            Expired::Allowed => b"stale\0",
        });
        context.update(token.as_bytes());
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(key)
    }

    fn shard(&self) -> usize {
        let [first, ..] = self.0;
        usize::from(first) % SHARDS
    }
}

/// A moment by two clocks: nobody sets the steady clock, but it stands still while the machine sleeps; the wall clock goes
/// on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) steady: Instant,
    pub(super) wall: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now().into() }
    }

    /// This moment and a duration.
    pub(super) fn plus(self, time: Duration) -> Self {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self { steady: self.steady + time, wall: self.wall.plus_micros(micros) }
    }

    /// By each clock the earlier of both.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        Self { steady: self.steady.min(other.steady), wall: self.wall.min(other.wall) }
    }

    /// Whether it has come by one of the clocks.
    fn has_come(self, now: Self) -> bool {
        self.steady <= now.steady || self.wall <= now.wall
    }
}

/// Values by token, each for a time, with a limit on their number.
#[derive(Debug)]
pub(super) struct Cache<V> {
    shards: [RwLock<HashMap<Key, Entry<V>>>; SHARDS],
    shard_entries_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Moment,
}

impl<V: Clone> Cache<V> {
    /// With room for about this many: each shard has its share.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { shards: Default::default(), shard_entries_max: entries_max / SHARDS }
    }

    /// The value at a moment.
    pub(super) fn get(&self, key: &Key, now: Moment) -> Option<V> {
        let shard = self.shard(key)?.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).filter(|entry| !entry.until.has_come(now)).map(|entry| entry.value.clone())
    }

    /// Remembers a value until a moment. Without room, the entry that ends first is removed.
    pub(super) fn insert(&self, key: Key, value: V, now: Moment, until: Moment) {
        let Some(shard) = self.shard(&key).filter(|_| !until.has_come(now)) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.shard_entries_max {
            shard.retain(|_, entry| !entry.until.has_come(now));
        }
        if shard.len() >= self.shard_entries_max {
            let first = shard.iter().min_by_key(|(_, entry)| entry.until.steady).map(|(key, _)| *key);
            first.and_then(|first| shard.remove(&first));
        }
        shard.insert(key, Entry { value, until });
    }

    /// The number of entries, with ended ones that were not removed yet.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, key: &Key) -> Option<&RwLock<HashMap<Key, Entry<V>>>> {
        self.shards.get(key.shard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_value_is_known_for_a_time() {
        let (cache, now) = (Cache::new(64), Moment::now());
        let key = Key::of_token("t", Expired::Refused);
        cache.insert(key, 'v', now, now.plus(SECOND));
        assert_eq!(cache.get(&key, now), Some('v'));
        assert_eq!(cache.get(&key, now.plus(SECOND)), None);
        assert_eq!(cache.get(&Key::of_token("u", Expired::Refused), now), None);
        assert_eq!(cache.get(&Key::of_token("t", Expired::Allowed), now), None);
        cache.insert(key, 'w', now, now); // For no time at all.
        assert_eq!(cache.get(&key, now), Some('v'));
    }

    #[test]
    fn an_entry_ends_by_the_clock_that_is_ahead() {
        let (cache, now) = (Cache::new(64), Moment::now());
        let key = Key::of_token("t", Expired::Refused);
        cache.insert(key, 'v', now, now.plus(SECOND));
        let later = now.plus(SECOND);
        assert_eq!(cache.get(&key, Moment { wall: later.wall, ..now }), None, "the machine slept");
        assert_eq!(cache.get(&key, Moment { wall: now.wall, ..later }), None, "somebody set the clock back");
        let until = now.plus(SECOND * 2).or_earlier(Moment { wall: now.wall, ..later });
        assert!(!until.has_come(Moment { wall: now.wall.plus_micros(-1), ..now }));
        assert!(until.has_come(now) && until.has_come(Moment { wall: now.wall.plus_micros(-1), ..later }));
    }

    #[test]
    fn the_number_of_entries_is_limited() {
        const ROOM: usize = SHARDS * 4;
        let (cache, now) = (Cache::new(ROOM), Moment::now());
        let key = |n: u32| Key::of_token(&n.to_string(), Expired::Refused);
        for n in 0..1000 {
            cache.insert(key(n), n, now, now.plus(SECOND * (n + 1)));
        }
        assert!(cache.len() <= ROOM, "{}", cache.len());
        assert_eq!(cache.get(&key(999), now), Some(999), "the value that lasts longest stays");
        let later = now.plus(SECOND * 2000);
        for n in 2000..2000 + 1000 {
            cache.insert(key(n), n, later, later.plus(SECOND));
        }
        assert_eq!(cache.get(&key(999), now), None, "ended values make room");
    }
}
