//! barbican
