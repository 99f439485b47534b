//! The commands beside `serve`.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod init;
pub(crate) mod policy;
pub(crate) mod token;
pub(crate) mod virtsecretd;
