//! A walk through all secrets, on a connection that no request uses. It reads some at a time, and has no snapshot between
//! two pieces, so requests and the writer do not wait for it.

use std::path::Path;

use model::SecretId;

use super::opening::Purpose;
use super::reader::Reader;
use super::{guards, rows};
use crate::{Error, Failure, Kind, RegardedRow, SealedSecret};

/// Rows in one piece of a sweep.
const SWEEP_ROWS: u32 = 256;
/// About the bytes of envelopes in one piece of a sweep: the row that exceeds it is the last.
const SWEEP_BYTES: usize = 1024 * 1024;

/// A connection to read everything on.
#[derive(Debug)]
pub struct Look {
    reader: Reader,
}

/// One secret, as a sweep finds it.
#[derive(Debug)]
pub struct Swept {
    /// The position of the sweep: the next piece begins after this.
    pub seq: u64,
    /// The secret's id, unless the row has none that can be understood.
    pub id: Option<SecretId>,
    /// The row, if it can be understood.
    pub row: Result<SealedSecret, Error>,
}

impl Look {
    pub(super) fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Self> {
        Reader::open(path, purpose).map(|reader| Self { reader })
    }

    /// The numbers of secrets and of projects. Rows are counted, since kept totals may be wrong.
    pub fn counted(&mut self) -> Result<(u64, u64), Error> {
        let counts = "SELECT (SELECT count(*) FROM secrets), (SELECT count(*) FROM projects)";
        Ok(self.reader.connection().query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Some secrets after `seq`, in order of commit; none at the end. Rows that cannot be understood are among them.
    pub fn sweep(&mut self, seq: u64) -> Result<Vec<Swept>, Error> {
        self.at_one_moment(|look| look.some_after(seq))
    }

    /// The facts that decide about access to some secrets or containers. The first piece begins after [`i64::MIN`].
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

    /// Reads everything that a request may read of a secret.
    fn one(&mut self, id: SecretId) -> Result<SealedSecret, Error> {
        let missing = || Error::from(Failure::Corrupt("secrets_by_id"));
        if rows::secret(&mut self.reader, id)?.is_none() {
            return Err(missing());
        }
        rows::sealed(&mut self.reader, id)?.ok_or_else(missing)
    }
}
