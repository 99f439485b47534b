//! Transport keys.

use model::{Timestamp, TransportKey, TransportKeyId};
use rusqlite::Row;

use super::columns::short_text;
use super::reader::Reader;
use super::slices;
use crate::plan::List;
use crate::{Error, Slice, Sliced};

const RECORD: &str = "id, created, updated, plugin, key";

fn record(row: &Row<'_>) -> Result<TransportKey, Error> {
    Ok(TransportKey {
        id: TransportKeyId::from_bytes(row.get(0)?),
        created: Timestamp::from_micros(row.get(1)?),
        updated: Timestamp::from_micros(row.get(2)?),
        plugin: short_text(row, 3)?,
        key: row.get(4)?,
    })
}

pub(super) fn transport_key(reader: &mut Reader, id: TransportKeyId) -> Result<Option<TransportKey>, Error> {
    let mut statement =
        reader.connection().prepare_cached(&format!("SELECT {RECORD} FROM transport_keys WHERE id = ?1"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(record).transpose()
}

pub(super) fn transport_keys(
    reader: &mut Reader,
    plugin: Option<&str>,
    slice: Slice,
) -> Result<Sliced<TransportKey>, Error> {
    let mut list = List::of_table("transport_keys", "seq");
    if let Some(plugin) = plugin {
        list.require_text("plugin", plugin);
    }
    slices::slice_of(reader.connection(), &list, (RECORD, slice), record)
}
