//! `donjon list`: lists secrets.

use std::collections::HashSet;

use serde_json::Value;
use virsecret::{Connection, Filter, Secret, UsageType, Uuid};

use super::Session;
use crate::cli::List;
use crate::error::Error;
use crate::reference::usage_text;
use crate::{console, json};

/// A secret of the list.
struct Row {
    secret: Secret,
    private: bool,
    ephemeral: bool,
}

pub(crate) fn run(session: &Session<'_>, flags: List) -> Result<(), Error> {
    let rows = rows(session.connection, filter(flags))?;
    if session.json {
        return console::say(Value::from_iter(rows.iter().map(object)));
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    for line in console::table(["UUID", "USAGE", "FLAGS"], &cells) {
        console::say(line)?;
    }
    Ok(())
}

/// A list does not say which secrets are private or ephemeral, but it can be filtered by both. So two more lists replace
/// the XML of each secret. A secret that changes meanwhile is shown in its old or new state.
fn rows(connection: &Connection, filter: Filter) -> Result<Vec<Row>, Error> {
    let listed = connection.list(filter)?;
    let uuids = |filter| Ok::<_, Error>(connection.list(filter)?.iter().map(|secret| secret.uuid).collect());
    let (private, ephemeral): (HashSet<Uuid>, HashSet<Uuid>) =
        (uuids(Filter::PRIVATE)?, uuids(Filter::EPHEMERAL)?);
    let row = |secret: Secret| Row {
        private: private.contains(&secret.uuid),
        ephemeral: ephemeral.contains(&secret.uuid),
        secret,
    };
    let mut rows: Vec<_> = listed.into_iter().map(row).collect();
    rows.sort_by(|a, b| order(&a.secret).cmp(&order(&b.secret)));
    Ok(rows)
}

/// The daemon has no order. Here secrets are sorted by usage; those without one come last.
fn order(secret: &Secret) -> (bool, UsageType, &[u8], Uuid) {
    (secret.usage_type == UsageType::None, secret.usage_type, &secret.usage_id, secret.uuid)
}

fn filter(flags: List) -> Filter {
    let of = |is, filter| if is { filter } else { Filter::ALL };
    of(flags.private, Filter::PRIVATE)
        .and(of(flags.no_private, Filter::NO_PRIVATE))
        .and(of(flags.ephemeral, Filter::EPHEMERAL))
        .and(of(flags.no_ephemeral, Filter::NO_EPHEMERAL))
}

fn cells(row: &Row) -> [String; 3] {
    let flags = [(row.private, "private"), (row.ephemeral, "ephemeral")];
    let flags: Vec<_> = flags.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    [row.secret.uuid.to_string(), usage_text(&row.secret), flags.join(", ")]
}

fn object(row: &Row) -> Value {
    json::secret_with(&row.secret, [("private", row.private.into()), ("ephemeral", row.ephemeral.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(usage_type: UsageType, usage_id: &str, private: bool, ephemeral: bool) -> Row {
        let secret = Secret { usage_type, usage_id: usage_id.into(), ..Uuid::nil().into() };
        Row { secret, private, ephemeral }
    }

    #[test]
    fn a_row_has_uuid_usage_and_flags() {
        let check = |row: Row, usage: &str, flags: &str| assert_eq!(cells(&row)[1..], [usage, flags]);
        check(row(UsageType::Ceph, "client.x", true, true), "ceph:client.x", "private, ephemeral");
        check(row(UsageType::None, "", false, true), "-", "ephemeral");
        check(row(UsageType::Volume, "/a\nb", false, false), "volume:/a\\nb", "");
    }

    #[test]
    fn secrets_without_usage_come_last() {
        let mut rows =
            [(UsageType::None, ""), (UsageType::Tls, "a"), (UsageType::Ceph, "b"), (UsageType::Ceph, "a")]
                .map(|(usage_type, id)| row(usage_type, id, false, false));
        rows.sort_by(|a, b| order(&a.secret).cmp(&order(&b.secret)));
        assert_eq!(rows.map(|row| cells(&row)[1].clone()), ["ceph:a", "ceph:b", "tls:a", "-"]);
    }

    #[test]
    fn flags_are_filters() {
        let none = List { private: false, no_private: false, ephemeral: false, no_ephemeral: false };
        assert_eq!(filter(none), Filter::ALL);
        assert_eq!(filter(List { private: true, no_ephemeral: true, ..none }).bits(), 4 + 2);
        assert_eq!(filter(List { no_private: true, ephemeral: true, ..none }).bits(), 8 + 1);
    }
}
