//! Procedures of other daemons (placeholder while the table is recorded).
