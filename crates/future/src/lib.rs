//! A result that will exist
