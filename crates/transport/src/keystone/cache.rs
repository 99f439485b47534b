//! What Keystone has said of tokens, for a time: one memory for all threads, so that a token is as good on one as on any
//! other.
//!
//! A token is known by its SHA-256, so that what lies here opens nothing. What is valid and what is not are kept apart:
//! who sends garbage pushes out other garbage, and nobody's session.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use model::Timestamp;
use tokio::time::Instant;

/// Parts that are locked apart.
const SHARDS: usize = 16;

/// A token, as it is known here.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key([u8; 32]);

/// Whether a token may have expired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expired {
    /// It may not.
    Refused,
    /// It may, for a service vouches for it, as long ago as Keystone allows.
    Allowed,
}

impl Key {
    /// What was said of a token that may have expired is not what was said of one that may not.
    pub(super) fn of(token: &str, expired: Expired) -> Self {
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

/// A moment by both clocks: the steady one, which nobody sets, stands still while the machine sleeps; the wall's does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) steady: Instant,
    pub(super) wall: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now().into() }
    }

    /// So much later.
    pub(super) fn plus(self, time: Duration) -> Self {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self { steady: self.steady + time, wall: self.wall.plus_micros(micros) }
    }

    /// By each clock, whichever comes first.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        Self { steady: self.steady.min(other.steady), wall: self.wall.min(other.wall) }
    }

    /// Whether it has come, by either clock.
    fn has_come(self, now: Self) -> bool {
        self.steady <= now.steady || self.wall <= now.wall
    }
}

/// Things by token, each for a time, and at most so many.
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
    /// Room for so many, give or take what the shards do not share.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { shards: Default::default(), shard_entries_max: entries_max / SHARDS }
    }

    /// What is known at the moment.
    pub(super) fn get(&self, key: &Key, now: Moment) -> Option<V> {
        let shard = self.read(key)?;
        shard.get(key).filter(|entry| !entry.until.has_come(now)).map(|entry| entry.value.clone())
    }

    /// Remembers something until then. Where there is no room, what would end first goes first.
    pub(super) fn insert(&self, key: Key, value: V, now: Moment, until: Moment) {
        let Some(mut shard) = self.write(&key).filter(|_| !until.has_come(now)) else { return };
        if shard.len() >= self.shard_entries_max {
            shard.retain(|_, entry| !entry.until.has_come(now));
        }
        if shard.len() >= self.shard_entries_max {
            let first = shard.iter().min_by_key(|(_, entry)| entry.until.steady).map(|(key, _)| *key);
            first.and_then(|first| shard.remove(&first));
        }
        shard.insert(key, Entry { value, until });
    }

    #[cfg(test)]
    /// How many there are, with those whose time is over and whose room nobody needed yet.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn read(&self, key: &Key) -> Option<RwLockReadGuard<'_, HashMap<Key, Entry<V>>>> {
        self.shards.get(key.shard()).map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, key: &Key) -> Option<RwLockWriteGuard<'_, HashMap<Key, Entry<V>>>> {
        self.shards.get(key.shard()).map(|shard| shard.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_said_is_known_for_a_time() {
        let (cache, now) = (Cache::new(64), Moment::now());
        let key = Key::of("t", Expired::Refused);
        cache.insert(key, 'v', now, now.plus(SECOND));
        assert_eq!(cache.get(&key, now), Some('v'));
        assert_eq!(cache.get(&key, now.plus(SECOND)), None);
        assert_eq!(cache.get(&Key::of("u", Expired::Refused), now), None);
        assert_eq!(cache.get(&Key::of("t", Expired::Allowed), now), None);
        cache.insert(key, 'w', now, now); // For no time at all.
        assert_eq!(cache.get(&key, now), Some('v'));
    }

    #[test]
    fn time_goes_by_whichever_clock_is_ahead() {
        let (cache, now) = (Cache::new(64), Moment::now());
        let key = Key::of("t", Expired::Refused);
        cache.insert(key, 'v', now, now.plus(SECOND));
        let later = now.plus(SECOND);
        assert_eq!(cache.get(&key, Moment { wall: later.wall, ..now }), None, "the machine slept");
        assert_eq!(cache.get(&key, Moment { wall: now.wall, ..later }), None, "somebody set the clock back");
        let until = now.plus(SECOND * 2).or_earlier(Moment { wall: now.wall, ..later });
        assert!(!until.has_come(Moment { wall: now.wall.plus_micros(-1), ..now }));
        assert!(until.has_come(now) && until.has_come(Moment { wall: now.wall.plus_micros(-1), ..later }));
    }

    #[test]
    fn there_is_room_for_so_many() {
        const ROOM: usize = SHARDS * 4;
        let (cache, now) = (Cache::new(ROOM), Moment::now());
        let key = |n: u32| Key::of(&n.to_string(), Expired::Refused);
        for n in 0..1000 {
            cache.insert(key(n), n, now, now.plus(SECOND * (n + 1)));
        }
        assert!(cache.len() <= ROOM, "{}", cache.len());
        assert_eq!(cache.get(&key(999), now), Some(999), "what lasts longest stays");
        let later = now.plus(SECOND * 2000);
        for n in 2000..2000 + 1000 {
            cache.insert(key(n), n, later, later.plus(SECOND));
        }
        assert_eq!(cache.get(&key(999), now), None, "what is over makes room");
    }
}
