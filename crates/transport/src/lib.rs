//! Sockets and pipes that call back
