//! `donjon events`: prints events as they come.

use std::time::{Duration, Instant};

use virsecret::limits::EVENT_WAIT_MAX;
use virsecret::{Change, Connection, Event, EventKind};

use super::Session;
use crate::cli::Events;
use crate::error::Error;
use crate::reference::usage_text;
use crate::{console, json};

pub(crate) fn run(session: &Session<'_>, flags: &Events) -> Result<(), Error> {
    let connection = session.connection;
    let secret = flags.secret.as_ref().map(|reference| reference.lookup(connection)).transpose()?;
    for kind in [EventKind::Lifecycle, EventKind::ValueChanged] {
        connection.register_events(kind, secret.as_ref())?;
    }
    console::tell("donjon: listening for events");
    let deadline = flags.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut seen, wanted) = (0, flags.count.unwrap_or(u64::MAX));
    while seen < wanted {
        let Some(event) = next(connection, deadline)? else {
            return flags.count.map_or(Ok(()), |wanted| Err(Error::TooFewEvents { seen, wanted }));
        };
        console::say(if session.json { object(&event) } else { text(&event) })?;
        seen += 1;
    }
    Ok(())
}

/// `None` when time is up. Lost events are reported on stderr, and do not end the command.
fn next(connection: &Connection, deadline: Option<Instant>) -> Result<Option<Event>, Error> {
    loop {
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        match connection.next_event(left.unwrap_or(EVENT_WAIT_MAX)) {
            Ok(None) if deadline.is_none() => {} // The longest wait, a year, has passed.
            Err(lost @ virsecret::Error::EventsLost(_)) => console::tell(format_args!("donjon: {lost}")),
            other => return Ok(other?),
        }
    }
}

fn text(event: &Event) -> String {
    format!("{:<13}  {}  {}", name(event.change), event.secret.uuid, usage_text(&event.secret))
}

fn object(event: &Event) -> String {
    json::secret_with(&event.secret, [("event", name(event.change).into())]).to_string()
}

fn name(change: Change) -> String {
    match change {
        Change::Defined => "defined".to_owned(),
        Change::Undefined => "undefined".to_owned(),
        Change::ValueChanged => "value-changed".to_owned(),
        Change::Other(number) => format!("lifecycle-{number}"),
    }
}
