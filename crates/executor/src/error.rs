//! Why an executor refused a job, or did not end in time.

use std::error::Error;
use std::fmt;
use std::io;

/// An executor did not take a job; [`into_inner`](Self::into_inner) gives the job back.
pub struct SubmitError<F> {
    job: F,
    reason: SubmitErrorReason,
}

/// Why a job was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubmitErrorReason {
    /// The executor was shut down.
    Shutdown,
    /// It has no thread yet, and the system refused to start one.
    Thread(io::Error),
    /// The default executor was asked for, and no loop runs on this thread.
    NoRunningLoop,
}

impl<F> SubmitError<F> {
    pub(crate) fn new(job: F, reason: SubmitErrorReason) -> Self {
        Self { job, reason }
    }

    /// Why it was refused.
    pub fn reason(&self) -> &SubmitErrorReason {
        &self.reason
    }

    /// Gives back the job, which has not been called.
    pub fn into_inner(self) -> F {
        self.job
    }
}

// By hand: jobs are closures, which are not `Debug`.
impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            SubmitErrorReason::Shutdown => "the executor was shut down",
            SubmitErrorReason::Thread(_) => "the executor could not start its first thread",
            SubmitErrorReason::NoRunningLoop => "no event loop runs on this thread",
        })
    }
}

impl<F> Error for SubmitError<F> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            SubmitErrorReason::Thread(error) => Some(error),
            _ => None,
        }
    }
}

/// Jobs were still running when the time to shut an executor down was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillRunning {
    jobs: Vec<String>,
    pending: usize,
}

impl StillRunning {
    pub(crate) fn new(jobs: Vec<String>, pending: usize) -> Self {
        Self { jobs, pending }
    }

    /// Which: thread, function and place of submission of each.
    pub fn jobs(&self) -> &[String] {
        &self.jobs
    }

    /// How many jobs have not even started.
    pub fn pending(&self) -> usize {
        self.pending
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jobs still running: {}", self.jobs.join(", "))?;
        match self.pending {
            0 => Ok(()),
            pending => write!(f, "; not started: {pending}"),
        }
    }
}

impl Error for StillRunning {}
