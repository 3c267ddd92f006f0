//! Where blocking calls go: threads and child processes
