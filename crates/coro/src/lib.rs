//! What can be suspended: scopes that clean up when cancelled, and the core of a task

pub mod wait_list;
