//! The decoders of outside bytes, for the fuzz targets. Not an interface: it changes with the decoders.

use http::HeaderMap;
use model::{Caller, Timestamp};

use crate::{Unidentified, dates, heads, identity};

/// The bytes of a connection, in pieces of a size, as hyper gets them.
pub fn heads(bytes: &mut [u8], piece: usize) {
    heads::scan_in_pieces(bytes, piece);
}

/// The headers that say who calls.
pub fn caller(headers: &HeaderMap) -> Result<Caller, Unidentified> {
    identity::by_headers(headers)
}

/// A date.
pub fn date(text: &str) -> Option<Timestamp> {
    dates::parse(text).and_then(dates::ParsedDate::utc).ok()
}
