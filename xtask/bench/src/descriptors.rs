//! How many descriptors this process may have.

/// As many as it may allow itself: eight thousand connections are more than most systems give at first.
pub fn allow_many() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it fills the struct.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the struct is filled. If it fails, the row that needs them says so.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
}
