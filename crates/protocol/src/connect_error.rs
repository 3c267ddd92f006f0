//! Why no connection came about.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// No address of a host could be connected to. Its text names each address that was tried.
///
/// Converts into an [`io::Error`] of the same [`kind`](Self::kind).
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// Nothing was tried: the name could not be looked up, or there is no loop.
    Before(io::Error),
    /// Each address that was tried, in the order in which they failed.
    Attempts(Vec<(SocketAddr, io::Error)>),
}

impl ConnectError {
    pub(crate) fn before(target: String, error: io::Error) -> Self {
        Self { target, cause: Cause::Before(error) }
    }

    pub(crate) fn attempts(target: String, attempts: Vec<(SocketAddr, io::Error)>) -> Self {
        if attempts.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Self::before(target, error);
        }
        Self { target, cause: Cause::Attempts(attempts) }
    }

    /// Each address that was tried and why it failed, in the order in which they failed. Empty
    /// when the name could not be looked up.
    #[doc(alias = "all_errors")]
    pub fn tried(&self) -> &[(SocketAddr, io::Error)] {
        match &self.cause {
            Cause::Before(_) => &[],
            Cause::Attempts(attempts) => attempts,
        }
    }

    /// The kind of the first failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.first().kind()
    }

    fn first(&self) -> &io::Error {
        match &self.cause {
            Cause::Before(error) => error,
            Cause::Attempts(attempts) => &attempts[0].1,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: ", self.target)?;
        match &self.cause {
            Cause::Before(error) => write!(f, "{error}"),
            Cause::Attempts(attempts) if attempts[0].0.to_string() == self.target => {
                write!(f, "{}", attempts[0].1)
            }
            Cause::Attempts(attempts) => {
                for (index, (addr, error)) in attempts.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{addr}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

/// No `source`: the text tells the causes already, all of them.
impl Error for ConnectError {}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        Self::new(error.kind(), error)
    }
}
