//! Going through every secret in turn, on a connection beside those that requests wait for. It reads some at a time, and
//! between two pieces has no snapshot, so nobody notices.

use std::path::Path;

use model::SecretId;

use super::opening::Purpose;
use super::reader::Reader;
use super::{guards, rows};
use crate::{Error, Failure, Kind, RegardedRow, SealedSecret};

/// Rows in one piece of a sweep.
const SWEEP_ROWS: u32 = 256;
/// Bytes of envelopes in one piece of a sweep, about: the row that goes beyond it is the last.
const SWEEP_BYTES: usize = 1024 * 1024;
/// A connection to look at everything.
#[derive(Debug)]
pub struct Look {
    reader: Reader,
}

/// One secret, as a sweep finds it.
#[derive(Debug)]
pub struct Swept {
    /// Where the sweep is: the next piece begins after this.
    pub seq: u64,
    /// Whose it is; absent if the row does not say.
    pub id: Option<SecretId>,
    /// The row, if it can be understood.
    pub row: Result<SealedSecret, Error>,
}

impl Look {
    pub(super) fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Self> {
        Reader::open(path, purpose).map(|reader| Self { reader })
    }

    /// How many secrets and projects there are: rows are counted, whatever the kept totals say.
    pub fn counted(&mut self) -> Result<(u64, u64), Error> {
        let counts = "SELECT (SELECT count(*) FROM secrets), (SELECT count(*) FROM projects)";
        Ok(self.reader.connection().query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Some secrets in order of commit, those after `seq`; none when there are no more. One whose row cannot be understood
    /// is among them.
    pub fn sweep(&mut self, seq: u64) -> Result<Vec<Swept>, Error> {
        self.at_one_moment(|look| look.some_after(seq))
    }

    /// What decides about some secrets or containers, likewise; the first piece begins after [`i64::MIN`].
    pub fn regarded(&mut self, kind: Kind, after: i64) -> Result<Vec<RegardedRow>, Error> {
        self.at_one_moment(|look| guards::access_after(&mut look.reader, kind, after, SWEEP_ROWS))
    }

    fn at_one_moment<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.reader.connection().prepare_cached("BEGIN")?.execute([])?;
        let found = read(self);
        let ended = self.reader.connection().prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        let found = found?;
        ended?;
        Ok(found)
    }

    fn some_after(&mut self, seq: u64) -> Result<Vec<Swept>, Error> {
        let rows: Vec<(u64, Vec<u8>)> = self
            .reader
            .connection()
            .prepare_cached("SELECT seq, CAST(id AS BLOB) FROM secrets WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
            .query_map((seq, SWEEP_ROWS), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut swept = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for (seq, id) in rows {
            let id = <[u8; 16]>::try_from(id.as_slice()).ok().map(SecretId::from_bytes);
            let row = match id {
                None => Err(Failure::Corrupt("secrets.id").into()),
                Some(id) => self.one(id),
            };
            let payload = row.as_ref().ok().and_then(|row| row.payload.as_ref());
            bytes += payload.map_or(0, |(_, sealed)| sealed.len());
            swept.push(Swept { seq, id, row });
            if bytes > SWEEP_BYTES {
                break;
            }
        }
        Ok(swept)
    }

    /// All that a request may read of it.
    fn one(&mut self, id: SecretId) -> Result<SealedSecret, Error> {
        let missing = || Error::from(Failure::Corrupt("secrets_by_id"));
        if rows::secret(&mut self.reader, id)?.is_none() {
            return Err(missing());
        }
        rows::sealed(&mut self.reader, id)?.ok_or_else(missing)
    }
}
