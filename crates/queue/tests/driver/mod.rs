//! What drives these tests: here a plain `block_on`; `tests/other-runtimes` has them driven by others.
#![allow(unused_imports, reason = "there, another module takes the place of this one")]

pub(crate) use futures_lite::future::block_on;
