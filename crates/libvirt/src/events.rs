//! Events: the change log, sent to the clients that registered for it.
//!
//! ```text
//! store ─▶ change log ─▶ one follower ─▶ the newest events ─▶ each connection, from its own position
//! ```
//!
//! Changes of both doors are events, because both write to the same log. Events are kept once for all connections, up to
//! [`EVENTS_MAX`]. A client that does not read them falls behind and is cut off, so it knows that it missed some.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libvirt_rpc::frame::{self, Header};
use libvirt_rpc::messages::{
    EVENT_ID_LIFECYCLE, EVENT_ID_VALUE_CHANGED, LIFECYCLE_DEFINED, LIFECYCLE_UNDEFINED, Lifecycle, Secret,
    ValueChanged,
};
use libvirt_rpc::procedures::{EVENT_LIFECYCLE, EVENT_VALUE_CHANGED};
use model::{Call, ChangeCursor, ChangeKind, ChangeRow, Changes, Listed, SecretId, Usage};
use tokio::sync::watch;
use vault::{ChangeFeed, Vault};

use crate::limits::{CALLBACKS_MAX, EVENT_BYTES_MAX, EVENTS_MAX};

/// How long to wait after the change log could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Which kind of event: `virSecretEventID`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum EventId {
    Lifecycle,
    ValueChanged,
}

impl EventId {
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        match number {
            EVENT_ID_LIFECYCLE => Some(Self::Lifecycle),
            EVENT_ID_VALUE_CHANGED => Some(Self::ValueChanged),
            _ => None,
        }
    }
}

/// One change of a secret.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its place in the change log.
    cursor: ChangeCursor,
    kind: ChangeKind,
    secret: Listed,
}

impl Event {
    fn from_row(row: ChangeRow) -> Self {
        Self { cursor: row.cursor, kind: row.kind, secret: Listed { id: row.secret, usage: row.usage } }
    }

    fn id(&self) -> EventId {
        match self.kind {
            ChangeKind::Created | ChangeKind::Redefined | ChangeKind::Deleted => EventId::Lifecycle,
            ChangeKind::ValueChanged => EventId::ValueChanged,
        }
    }

    /// The message for one registration, unless it is longer than a message may be.
    fn message(&self, callback: i32) -> Option<Vec<u8>> {
        let secret = handle(&self.secret);
        let room = secret.bytes() + 16;
        let lifecycle = |event| {
            let event = Lifecycle { callback, secret, event, detail: 0 };
            frame::message(Header::event(EVENT_LIFECYCLE), room, |to| event.encode(to))
        };
        match self.kind {
            ChangeKind::Created | ChangeKind::Redefined => lifecycle(LIFECYCLE_DEFINED),
            ChangeKind::Deleted => lifecycle(LIFECYCLE_UNDEFINED),
            ChangeKind::ValueChanged => {
                let event = ValueChanged { callback, secret };
                frame::message(Header::event(EVENT_VALUE_CHANGED), room, |to| event.encode(to))
            }
        }
        .ok()
    }

    /// About the memory that it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.secret.usage.as_ref().map_or(0, |usage| usage.id.len())
    }
}

/// A secret as messages name it.
pub(crate) fn handle(listed: &Listed) -> Secret<'_> {
    let (usage_type, usage_id) = match &listed.usage {
        Some(Usage { usage_type, id }) => (usage_type.number(), id.as_bytes()),
        None => (0, &b""[..]),
    };
    Secret { uuid: *listed.id.as_bytes(), usage_type, usage_id }
}

/// The newest events.
#[derive(Debug)]
pub(crate) struct Events {
    kept: Mutex<Kept>,
    /// How many events there were since the start.
    count: watch::Sender<u64>,
    /// The place in the change log after which somebody wants events. Without listeners the log is not read: a look costs
    /// about a tenth of the change itself.
    wanted_after: watch::Sender<Option<ChangeCursor>>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// How many were dropped.
    dropped: u64,
    followers: usize,
}

/// A follower has missed events: they are no longer kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lagged;

impl Events {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), count: watch::Sender::new(0), wanted_after: watch::Sender::new(None) }
    }

    /// Follows the changes of the caller's project until the door ends, while anybody listens.
    pub(crate) async fn follow(&self, vault: &Vault, call: &Call) {
        let mut wanted = self.wanted_after.subscribe();
        loop {
            let from = match wanted.wait_for(Option::is_some).await {
                Ok(from) => from.unwrap_or_default(),
                Err(_) => return, // The door has ended.
            };
            let changes = match vault.changes(call, from) {
                Ok(changes) => changes,
                Err(error) => {
                    return tracing::error!(%error, "this door may not follow changes: no events are sent");
                }
            };
            tokio::select! {
                () = self.follow_feed(changes) => return,
                _ = wanted.wait_for(Option::is_none) => {}
            }
        }
    }

    /// Keeps the events of a feed until the store ends.
    async fn follow_feed(&self, mut changes: ChangeFeed) {
        loop {
            match changes.next().await {
                Ok(None) => return,
                Ok(Some(Changes::Rows(rows))) => self.add(rows.into_iter().map(Event::from_row)),
                Ok(Some(Changes::Missed { .. })) => {
                    tracing::warn!(
                        "the change log was read too late: clients that listen for events are cut off"
                    );
                    self.lose();
                }
                Err(error) => {
                    tracing::error!(%error, "the change log cannot be read: events wait");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn add(&self, events: impl Iterator<Item = Event>) {
        let mut kept = self.kept();
        let mut count = kept.dropped + u64::try_from(kept.events.len()).unwrap_or(0);
        for event in events {
            kept.bytes += event.bytes();
            kept.events.push_back(Arc::new(event));
            count += 1;
            while kept.events.len() > EVENTS_MAX || kept.bytes > EVENT_BYTES_MAX {
                let Some(oldest) = kept.events.pop_front() else { break };
                kept.bytes -= oldest.bytes();
                kept.dropped += 1;
            }
        }
        drop(kept);
        self.count.send_if_modified(|known| std::mem::replace(known, count) != count);
    }

    /// Notes that some events are lost: every follower has fallen behind.
    fn lose(&self) {
        let mut kept = self.kept();
        let lost = u64::try_from(kept.events.len()).unwrap_or(0) + 1;
        kept.events.clear();
        kept.bytes = 0;
        kept.dropped += lost;
        let count = kept.dropped;
        drop(kept);
        self.count.send_replace(count);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event at a position, if there is one yet.
    fn event_at(&self, position: u64) -> Result<Option<Arc<Event>>, Lagged> {
        let kept = self.kept();
        let index = position.checked_sub(kept.dropped).ok_or(Lagged)?;
        Ok(usize::try_from(index).ok().and_then(|index| kept.events.get(index)).cloned())
    }

    /// A follower that sees the events after this place in the change log.
    pub(crate) fn subscribe(self: &Arc<Self>, newest: ChangeCursor) -> Follower {
        let mut kept = self.kept();
        kept.followers += 1;
        if kept.followers == 1 {
            self.wanted_after.send_replace(Some(newest));
        }
        drop(kept);
        let mut count = self.count.subscribe();
        let next = *count.borrow_and_update();
        Follower { events: Arc::clone(self), next, count }
    }
}

/// The position of a connection among the events.
#[derive(Debug)]
pub(crate) struct Follower {
    events: Arc<Events>,
    next: u64,
    count: watch::Receiver<u64>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut kept = self.events.kept();
        kept.followers -= 1;
        if kept.followers == 0 {
            self.events.wanted_after.send_replace(None);
        }
    }
}

impl Follower {
    /// The next event, if there is one yet.
    pub(crate) fn next(&mut self) -> Result<Option<Arc<Event>>, Lagged> {
        let found = self.events.event_at(self.next)?;
        self.next += u64::from(found.is_some());
        Ok(found)
    }

    /// Completes when there are events that were not seen.
    pub(crate) fn more(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.clone();
        let seen = self.next;
        async move {
            // The sender lives as long as the door. Without it no event comes.
            if count.wait_for(|count| *count > seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The events that a connection asked for: at most [`CALLBACKS_MAX`] registrations.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    by_key: HashMap<(EventId, Option<SecretId>), Registration>,
}

#[derive(Clone, Copy, Debug)]
struct Registration {
    callback: i32,
    /// It is told of changes after this place; of none before it has begun.
    since: Option<ChangeCursor>,
}

/// Why a registration was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotRegistered {
    /// The same registration exists.
    Tracked,
    /// The limit is reached.
    TooMany,
}

impl Registrations {
    /// Adds one, which is told of nothing until it begins. Only an accepted registration takes an id, as with libvirtd.
    pub(crate) fn add(
        &mut self,
        event: EventId,
        secret: Option<SecretId>,
        next_callback: impl FnOnce() -> i32,
    ) -> Result<i32, NotRegistered> {
        if self.by_key.contains_key(&(event, secret)) {
            return Err(NotRegistered::Tracked);
        }
        if self.by_key.len() >= CALLBACKS_MAX {
            return Err(NotRegistered::TooMany);
        }
        let callback = next_callback();
        self.by_key.insert((event, secret), Registration { callback, since: None });
        Ok(callback)
    }

    /// Begins one: it is told of changes after a place in the change log.
    pub(crate) fn begin(&mut self, callback: i32, since: ChangeCursor) {
        if let Some(known) = self.by_key.values_mut().find(|known| known.callback == callback) {
            known.since = Some(since);
        }
    }

    /// Removes one. Returns whether it was there.
    pub(crate) fn remove(&mut self, callback: i32) -> bool {
        let before = self.by_key.len();
        self.by_key.retain(|_, known| known.callback != callback);
        self.by_key.len() < before
    }

    /// Whether there are no registrations.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The messages of an event to this connection.
    pub(crate) fn messages(&self, event: &Event) -> impl Iterator<Item = Vec<u8>> {
        let of = |secret| self.by_key.get(&(event.id(), secret)).copied();
        let mut told: Vec<_> = [of(None), of(Some(event.secret.id))].into_iter().flatten().collect();
        told.retain(|known| known.since.is_some_and(|since| since < event.cursor));
        told.sort_by_key(|known| known.callback);
        told.into_iter().filter_map(|known| event.message(known.callback))
    }
}

#[cfg(test)]
mod tests {
    use model::UsageType;

    use super::*;

    fn event(number: u64, kind: ChangeKind) -> Event {
        let usage = Some(Usage { usage_type: UsageType::Ceph, id: "c".into() });
        Event {
            cursor: ChangeCursor::from_number(number),
            kind,
            secret: Listed { id: SecretId::from_bytes([7; 16]), usage },
        }
    }

    fn add(to: &mut Registrations, event: EventId, secret: Option<SecretId>, callback: i32, since: u64) {
        to.add(event, secret, || callback).unwrap();
        to.begin(callback, ChangeCursor::from_number(since));
    }

    fn told(registrations: &Registrations, event: &Event) -> Vec<String> {
        let hex = |bytes: Vec<u8>| bytes.iter().skip(12).map(|byte| format!("{byte:02x}")).collect();
        registrations.messages(event).map(hex).collect()
    }

    /// raw/093 and raw/095 of the recorded answers, with another id.
    #[test]
    fn messages_are_what_libvirtd_sends() {
        let mut registrations = Registrations::default();
        add(&mut registrations, EventId::Lifecycle, None, 3, 0);
        add(&mut registrations, EventId::ValueChanged, Some(SecretId::from_bytes([7; 16])), 4, 0);
        let secret = "07070707070707070707070707070707000000020000000163000000";
        for (kind, expect) in [
            (
                ChangeKind::Created,
                format!("0000017e00000002000000010000000000000003{secret}0000000000000000"),
            ),
            (
                ChangeKind::Redefined,
                format!("0000017e00000002000000010000000000000003{secret}0000000000000000"),
            ),
            (
                ChangeKind::Deleted,
                format!("0000017e00000002000000010000000000000003{secret}0000000100000000"),
            ),
            (ChangeKind::ValueChanged, format!("0000017f00000002000000010000000000000004{secret}")),
        ] {
            assert_eq!(told(&registrations, &event(1, kind)), [expect], "{kind:?}");
        }
    }

    #[test]
    fn a_registration_is_told_of_later_changes_of_its_secret() {
        let mut registrations = Registrations::default();
        let id = SecretId::from_bytes([7; 16]);
        add(&mut registrations, EventId::Lifecycle, None, 1, 10);
        add(&mut registrations, EventId::Lifecycle, Some(id), 2, 11);
        add(&mut registrations, EventId::Lifecycle, Some(SecretId::NIL), 3, 0);
        let count = |number| told(&registrations, &event(number, ChangeKind::Created)).len();
        assert_eq!((count(10), count(11), count(12)), (0, 1, 2));
        let again = registrations.add(EventId::Lifecycle, None, || 4);
        assert_eq!(again, Err(NotRegistered::Tracked));
        assert!(registrations.remove(1) && !registrations.remove(1) && !registrations.is_empty());
        for n in 10.. {
            let id = SecretId::random();
            match registrations.add(EventId::ValueChanged, Some(id), || n) {
                Ok(_) => {}
                refused => {
                    assert_eq!(refused, Err(NotRegistered::TooMany));
                    assert_eq!(registrations.by_key.len(), CALLBACKS_MAX);
                    break;
                }
            }
        }
    }

    #[test]
    fn a_follower_that_falls_behind_learns_so_and_memory_has_a_bound() {
        let at = ChangeCursor::from_number;
        let events = Arc::new(Events::new());
        let mut slow = events.subscribe(at(0));
        events.add((1..=3).map(|number| event(number, ChangeKind::Created)));
        let mut late = events.subscribe(at(3));
        assert!(late.next().unwrap().is_none());
        assert_eq!(slow.next().unwrap().unwrap().cursor, at(1));
        let long = |number| Event {
            secret: Listed {
                id: SecretId::NIL,
                usage: Some(Usage { usage_type: UsageType::Ceph, id: "u".repeat(1 << 20) }),
            },
            ..event(number, ChangeKind::Created)
        };
        events.add((4..40).map(long));
        assert!(events.kept().bytes <= EVENT_BYTES_MAX);
        assert_eq!(slow.next().unwrap_err(), Lagged);
        assert!(events.subscribe(at(39)).next().unwrap().is_none());
        events.add((40..40 + 2 * EVENTS_MAX as u64).map(|number| event(number, ChangeKind::Created)));
        assert_eq!(events.kept().events.len(), EVENTS_MAX);
        assert_eq!(*events.wanted_after.borrow(), Some(at(0)));
        let mut current = events.subscribe(at(0));
        let mut more = Box::pin(current.more());
        events.lose();
        let woken = more.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(woken.is_ready(), "a gap wakes a waiting follower");
        assert_eq!(current.next().unwrap_err(), Lagged);
        assert!(events.subscribe(at(0)).next().unwrap().is_none(), "a later follower has missed nothing");
        drop((slow, late, current));
        assert_eq!(*events.wanted_after.borrow(), None, "without listeners the log is not read");
    }
}
