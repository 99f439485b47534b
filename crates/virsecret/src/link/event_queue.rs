//! Events that the program has not taken yet. Beyond a bound the oldest are dropped, and the program is told how many.

use std::collections::VecDeque;

use crate::events::{Event, Registration};
use crate::limits::{EVENTS_BYTES_MAX, EVENTS_WAITING_MAX};

/// The queue.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    events: VecDeque<Event>,
    /// Bytes of their usages.
    bytes: usize,
    lost: u64,
}

/// The next thing to tell the program.
#[derive(Debug)]
pub(super) enum Next {
    /// The oldest event.
    Event(Event),
    /// So many events were dropped before it.
    Lost(u64),
}

impl EventQueue {
    pub(super) fn put(&mut self, event: Event) {
        self.bytes += event.secret.usage_id.len();
        self.events.push_back(event);
        while self.events.len() > EVENTS_WAITING_MAX || self.bytes > EVENTS_BYTES_MAX {
            self.pop();
            self.lost += 1;
        }
    }

    pub(super) fn take_next(&mut self) -> Option<Next> {
        match std::mem::take(&mut self.lost) {
            0 => self.pop().map(Next::Event),
            lost => Some(Next::Lost(lost)),
        }
    }

    /// All events, and how many were dropped before them.
    pub(super) fn take_all(&mut self) -> (u64, VecDeque<Event>) {
        let Self { events, lost, .. } = std::mem::take(self);
        (lost, events)
    }

    /// Drops the events of a registration.
    pub(super) fn forget(&mut self, registration: Registration) {
        self.events.retain(|event| event.registration != registration);
        self.bytes = self.events.iter().map(|event| event.secret.usage_id.len()).sum();
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.secret.usage_id.len();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use libvirt_rpc::messages;

    use super::*;
    use crate::events::Change;
    use crate::secret::Secret;

    fn event(registration: i32, usage_id: &[u8]) -> Event {
        let secret = Secret::of_wire(&messages::Secret { uuid: [9; 16], usage_type: 0, usage_id });
        Event { registration: Registration(registration), secret, change: Change::ValueChanged }
    }

    #[test]
    fn the_oldest_events_are_dropped_and_counted() {
        let mut queue = EventQueue::default();
        for number in 0..EVENTS_WAITING_MAX + 3 {
            queue.put(event(i32::try_from(number).unwrap(), b""));
        }
        assert!(matches!(queue.take_next(), Some(Next::Lost(3))));
        assert!(
            matches!(queue.take_next(), Some(Next::Event(event)) if event.registration == Registration(3))
        );
    }

    #[test]
    fn long_usages_count_by_their_bytes() {
        let mut queue = EventQueue::default();
        let long = vec![b'u'; EVENTS_BYTES_MAX / 2];
        (0..3).for_each(|number| queue.put(event(number, &long)));
        let (lost, events) = queue.take_all();
        assert_eq!((lost, events.len()), (1, 2));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn the_events_of_one_registration_are_forgotten() {
        let mut queue = EventQueue::default();
        [1, 2, 1].into_iter().for_each(|number| queue.put(event(number, b"u")));
        queue.forget(Registration(1));
        assert_eq!(queue.bytes, 1);
        assert_eq!(queue.take_all().1.len(), 1);
    }
}
