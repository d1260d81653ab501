//! A place: where in the journal something was said, as one number that sorts.

use rusqlite::types::{ToSql, ToSqlOutput};

/// How many events, and how many payloads, one record has places for.
pub(crate) const PER_RECORD: u64 = 1_024;

/// Position `index` in record `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) i64);

impl Place {
    /// Position `index` (below [`PER_RECORD`]) in record `seq`.
    pub(crate) fn new(seq: u64, index: usize) -> Self {
        let place = seq.saturating_mul(PER_RECORD).saturating_add(index as u64);
        Self(i64::try_from(place).unwrap_or(i64::MAX))
    }
}

impl ToSql for Place {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

/// A sequence number as SQLite keeps it.
pub(crate) fn sql(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A sequence number as SQLite kept it; a negative one, which was never written, becomes 0.
pub(crate) fn seq(sql: i64) -> u64 {
    u64::try_from(sql).unwrap_or(0)
}
