//! `Signal`: which one.

use std::fmt;

use libc::c_int;

use super::error::SignalError;

/// A signal of the system.
///
/// # Examples
///
/// ```
/// use asyncio_loop::Signal;
///
/// assert_eq!(Signal::from_raw(15)?, Signal::SIGTERM);
/// assert_eq!(Signal::SIGTERM.to_string(), "SIGTERM");
/// assert!(Signal::from_raw(0).is_err());
/// # Ok::<(), asyncio_loop::SignalError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(c_int);

impl Signal {
    /// The signal with this number: one of those below, or a real-time signal.
    ///
    /// # Errors
    ///
    /// [`Unknown`](SignalError::Unknown): no signal has this number.
    pub fn from_raw(number: i32) -> Result<Self, SignalError> {
        // The C library keeps the first real-time signals for itself.
        #[cfg(target_os = "linux")]
        let exists = (1..=31).contains(&number)
            || (libc::SIGRTMIN()..=libc::SIGRTMAX().min(MOST)).contains(&number);
        #[cfg(not(target_os = "linux"))]
        let exists = (1..=31).contains(&number);
        if exists { Ok(Self(number)) } else { Err(SignalError::Unknown(number)) }
    }

    /// Its number.
    pub fn as_raw(self) -> i32 {
        self.0
    }

    /// Its place in a set.
    pub(super) fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).expect("a signal's number is positive")
    }

    /// Those in a set, the lowest number first: so does the kernel deliver them.
    pub(super) fn of_set(set: u64) -> impl Iterator<Item = Self> {
        (1..=MOST).map(Self).filter(move |signal| set & signal.bit() != 0)
    }

    /// Can a program do anything about it but end? The kernel lets nobody catch two of them; a fault would come again
    /// and again, since the instruction that made it is repeated.
    pub(super) fn is_catchable(self) -> bool {
        !UNCATCHABLE.contains(&self)
    }
}

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Signal {
            $($(#[$doc])* pub const $name: Self = Self(libc::$name);)*
        }

        const NAMES: &[(Signal, &str)] = &[$((Signal::$name, stringify!($name))),*];
    };
}

signals! {
    /// The terminal is gone; daemons read their configuration again.
    SIGHUP,
    /// Ctrl-C.
    SIGINT,
    /// Ctrl-\.
    SIGQUIT,
    /// An illegal instruction; cannot be listened to.
    SIGILL,
    /// A breakpoint.
    SIGTRAP,
    /// `abort` was called.
    SIGABRT,
    /// A bad memory access; cannot be listened to.
    SIGBUS,
    /// A bad operation of arithmetics; cannot be listened to.
    SIGFPE,
    /// Ends the process, whatever it thinks of that; cannot be listened to.
    SIGKILL,
    /// The program's own.
    SIGUSR1,
    /// A bad memory reference; cannot be listened to.
    SIGSEGV,
    /// The program's own.
    SIGUSR2,
    /// A write to a pipe that nobody reads. Rust programs start with it ignored.
    SIGPIPE,
    /// A timer of `alarm`.
    SIGALRM,
    /// Please end.
    SIGTERM,
    /// A child has ended or stopped.
    SIGCHLD,
    /// Go on after a stop.
    SIGCONT,
    /// Stops the process; cannot be listened to.
    SIGSTOP,
    /// Ctrl-Z.
    SIGTSTP,
    /// A read from the terminal in the background.
    SIGTTIN,
    /// A write to the terminal in the background.
    SIGTTOU,
    /// Urgent data on a socket.
    SIGURG,
    /// The limit of processor time is reached.
    SIGXCPU,
    /// The limit of a file's size is reached.
    SIGXFSZ,
    /// A timer of processor time.
    SIGVTALRM,
    /// A timer for profiling.
    SIGPROF,
    /// The terminal's window has another size.
    SIGWINCH,
    /// A descriptor is ready.
    SIGIO,
    /// A bad system call.
    SIGSYS,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(signal, _)| signal == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const UNCATCHABLE: [Signal; 6] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
];

/// The highest number that has a place in a set. Linux has no more.
pub(super) const MOST: c_int = 64;
