//! How many bytes the heap has given out, as its allocator counts them, its headers included.

/// Bytes in use now.
pub fn bytes() -> f64 {
    // SAFETY: it only reads the allocator's counters.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}
