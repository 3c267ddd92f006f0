//! Nothing but tests: `tests/` here runs those of the queue crate under other executors.
