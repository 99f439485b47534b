//! What a connection may do.

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Everything.
    ReadWrite,
    /// Looking: the daemon refuses to define, undefine, and to set or tell a value.
    ReadOnly,
}
