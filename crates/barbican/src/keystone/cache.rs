//! What Keystone has said of tokens, for a time: one memory for all threads, so that a token is as good on one as on any
//! other.
//!
//! A token is known by its SHA-256, so that what lies here opens nothing. What is valid and what is not are kept apart:
//! who sends garbage pushes out other garbage, and nobody's session.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::digest::{Context, SHA256};
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

/// Things by token, each for a time, and at most so many.
#[derive(Debug)]
pub(super) struct Cache<V> {
    shards: [RwLock<HashMap<Key, Entry<V>>>; SHARDS],
    shard_entries_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
}

impl<V: Clone> Cache<V> {
    /// Room for so many, give or take what the shards do not share.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { shards: Default::default(), shard_entries_max: entries_max / SHARDS }
    }

    /// What is known at the moment.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<V> {
        let shard = self.read(key)?;
        shard.get(key).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
    }

    /// Remembers something until then. Where there is no room, what would end first goes first.
    pub(super) fn insert(&self, key: Key, value: V, now: Instant, until: Instant) {
        let Some(mut shard) = self.write(&key).filter(|_| until > now) else { return };
        if shard.len() >= self.shard_entries_max {
            shard.retain(|_, entry| entry.until > now);
        }
        if shard.len() >= self.shard_entries_max {
            let first = shard.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key);
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
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_said_is_known_for_a_time() {
        let (cache, now) = (Cache::new(64), Instant::now());
        let key = Key::of("t", Expired::Refused);
        cache.insert(key, 'v', now, now + SECOND);
        assert_eq!(cache.get(&key, now), Some('v'));
        assert_eq!(cache.get(&key, now + SECOND), None);
        assert_eq!(cache.get(&Key::of("u", Expired::Refused), now), None);
        assert_eq!(cache.get(&Key::of("t", Expired::Allowed), now), None);
        cache.insert(key, 'w', now, now); // For no time at all.
        assert_eq!(cache.get(&key, now), Some('v'));
    }

    #[test]
    fn there_is_room_for_so_many() {
        const ROOM: usize = SHARDS * 4;
        let (cache, now) = (Cache::new(ROOM), Instant::now());
        let key = |n: u32| Key::of(&n.to_string(), Expired::Refused);
        for n in 0..1000 {
            cache.insert(key(n), n, now, now + SECOND * (n + 1));
        }
        assert!(cache.len() <= ROOM, "{}", cache.len());
        assert_eq!(cache.get(&key(999), now), Some(999), "what lasts longest stays");
        let later = now + SECOND * 2000;
        for n in 2000..2000 + 1000 {
            cache.insert(key(n), n, later, later + SECOND);
        }
        assert_eq!(cache.get(&key(999), now), None, "what is over makes room");
    }
}
