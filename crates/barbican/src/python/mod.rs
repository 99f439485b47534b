//! Python's ways with values, where Barbican's answers show them.
//!
//! Barbican validates what `json.loads` made of a body, converts query strings with `int()`, and quotes values in its
//! error texts with `repr()`. Clients see the results, so the same is done here, and nowhere else in the door.

pub(crate) mod base64;
pub(crate) mod float;
pub(crate) mod json;
pub(crate) mod text;
pub(crate) mod value;

pub(crate) use json::parse as parse_json;
pub(crate) use text::{int, is_space, strip, unquote_plus};
pub(crate) use value::Value;
