//! Readers and writers
