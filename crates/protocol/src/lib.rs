//! Callbacks on bytes
