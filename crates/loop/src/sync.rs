//! What threads meet at. With `--cfg asyncio_loom` these are loom's models, whose every interleaving the tests in
//! `model.rs` try; a loop cannot run on them.

#[cfg(not(asyncio_loom))]
pub(crate) use std::{
    sync::atomic::{AtomicBool, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::{ThreadId, current as current_thread},
};

#[cfg(asyncio_loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicBool, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::{ThreadId, current as current_thread},
};
