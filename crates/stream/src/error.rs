//! What a read can end with.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The stream ended before what was asked for was there. Has what came: it is not in the reader
/// any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteReadError {
    /// The bytes that came.
    pub partial: Vec<u8>,
    /// How many were asked for; `None` when a separator was.
    pub expected: Option<usize>,
}

impl fmt::Display for IncompleteReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.partial.len();
        match self.expected {
            Some(expected) => {
                write!(f, "{read} bytes read on a total of {expected} expected bytes")
            }
            None => write!(f, "{read} bytes read on a total of undefined expected bytes"),
        }
    }
}

impl Error for IncompleteReadError {}

impl From<IncompleteReadError> for io::Error {
    fn from(error: IncompleteReadError) -> Self {
        Self::new(io::ErrorKind::UnexpectedEof, error)
    }
}

/// There is no separator within the limit. Nothing was taken out of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOverrunError {
    /// Bytes at the front of the reader that certainly hold no separator.
    pub consumed: usize,
    /// Whether there is one after them.
    pub found: bool,
}

impl fmt::Display for LimitOverrunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.found {
            true => "separator is found, but chunk is longer than limit",
            false => "separator is not found, and chunk exceeds the limit",
        })
    }
}

impl Error for LimitOverrunError {}

impl From<LimitOverrunError> for io::Error {
    fn from(error: LimitOverrunError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// What [`StreamReader::readuntil`](crate::StreamReader::readuntil) ends with.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadUntilError {
    /// The stream ended before a separator.
    Incomplete(IncompleteReadError),
    /// No separator within the limit; the bytes are still in the reader.
    LimitOverrun(LimitOverrunError),
    /// The connection broke.
    Io(io::Error),
}

/// What [`StreamReader::readline`](crate::StreamReader::readline) ends with.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadlineError {
    /// The line is longer than the limit. It was dropped: up to and with its end if that was
    /// there, else all that was there.
    TooLong(LimitOverrunError),
    /// The connection broke.
    Io(io::Error),
}

/// What [`StreamReader::readexactly`](crate::StreamReader::readexactly) ends with.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadExactlyError {
    /// The stream ended too early.
    Incomplete(IncompleteReadError),
    /// The connection broke.
    Io(io::Error),
}

/// The three above differ in what can happen; what follows from it is the same.
macro_rules! read_error {
    ($name:ident { $($variant:ident),+ }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(error) => error.fmt(f),)+
                    Self::Io(error) => error.fmt(f),
                }
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    $(Self::$variant(error) => error.source(),)+
                    Self::Io(error) => error.source(),
                }
            }
        }

        impl From<$name> for io::Error {
            fn from(error: $name) -> Self {
                match error {
                    $($name::$variant(error) => error.into(),)+
                    $name::Io(error) => error,
                }
            }
        }
    };
}

read_error!(ReadUntilError { Incomplete, LimitOverrun });
read_error!(ReadlineError { TooLong });
read_error!(ReadExactlyError { Incomplete });

/// One failure that is told to everybody who asks: `io::Error` cannot be cloned.
#[derive(Debug, Clone)]
pub(crate) struct SharedError(Arc<io::Error>);

impl SharedError {
    pub(crate) fn new(error: io::Error) -> Self {
        Self(Arc::new(error))
    }

    /// A copy with the same code or kind, and the same text.
    pub(crate) fn to_io(&self) -> io::Error {
        match self.0.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.0.kind(), self.clone()),
        }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
