//! Child processes whose pipes are streams.

use std::ffi::OsStr;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::rc::Rc;

use asyncio_executor::{Child, spawn_process};
use futures_lite::future::zip;
use futures_lite::io::AsyncWriteExt;

use crate::open_connection::DEFAULT_LIMIT;
use crate::pipes::{reader_over, writer_over};
use crate::reader::StreamReader;
use crate::stream_protocol::StreamState;
use crate::writer::StreamWriter;

/// Starts `program`, without a shell. Await what this returns, after giving it arguments and
/// setting options on it. Standard streams are inherited unless they are asked for as pipes.
///
/// # Cancel safety
///
/// Dropped or cancelled after the child was started and before it is handed out, it kills the
/// child, which is reaped.
///
/// # Errors
///
/// Those of starting the program ("not found", "permission denied", …) and of its pipes.
///
/// # Examples
///
/// ```
/// use asyncio_stream::create_subprocess_exec;
/// use std::process::Stdio;
///
/// asyncio_loop::run(async {
///     let mut sort = create_subprocess_exec("sort")
///         .arg("-r")
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .await
///         .unwrap();
///     let (stdout, stderr) = sort.communicate(Some(b"a\nb\n")).await.unwrap();
///     assert_eq!(stdout.unwrap(), b"b\na\n");
///     assert!(stderr.is_none());
///     assert_eq!(sort.returncode(), Some(0));
/// })
/// .unwrap();
/// ```
pub fn create_subprocess_exec(program: impl AsRef<OsStr>) -> CreateSubprocess {
    CreateSubprocess { command: Command::new(program), limit: DEFAULT_LIMIT }
}

/// A child process to be; see [`create_subprocess_exec`]. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct CreateSubprocess {
    command: Command,
    limit: usize,
}

impl CreateSubprocess {
    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// What the child reads as its standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Where the child's standard output goes.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Where the child's standard error goes.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Sets one variable of the child's environment, which else is ours.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// The child's working directory.
    #[doc(alias = "cwd")]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// The limit of the readers of its output, in bytes. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "a stream's limit cannot be 0");
        self.limit = limit;
        self
    }

    /// Anything else that the standard library's [`Command`] can be told.
    pub fn with_command(mut self, set: impl FnOnce(&mut Command)) -> Self {
        set(&mut self.command);
        self
    }

    async fn start(self) -> io::Result<Process> {
        let Self { command, limit } = self;
        let mut starting = KillOnDrop(Some(spawn_process(command)?));
        let child = starting.0.as_mut().expect("it is taken at the end only");
        let (stdin, stdout, stderr) =
            (child.take_stdin(), child.take_stdout(), child.take_stderr());
        let stdin = match stdin {
            Some(pipe) => Some(writer_over(pipe.into_inner()).await?),
            None => None,
        };
        let stdout = match stdout {
            Some(pipe) => Some(reader_over(pipe.into_inner(), limit).await?),
            None => None,
        };
        let stderr = match stderr {
            Some(pipe) => Some(reader_over(pipe.into_inner(), limit).await?),
            None => None,
        };
        let readers = [&stdout, &stderr].into_iter().flatten().map(|reader| reader.state.clone());
        let pipes = readers.chain(stdin.as_ref().map(|writer| writer.state.clone())).collect();
        let child = starting.0.take().expect("it is taken here only");
        Ok(Process { child, pipes, stdin, stdout, stderr })
    }
}

impl IntoFuture for CreateSubprocess {
    type Output = io::Result<Process>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<Process>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for CreateSubprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateSubprocess")
            .field("command", &self.command)
            .field("limit", &self.limit)
            .finish()
    }
}

/// A child process.
///
/// It is reaped when it ends, in any case. Dropping this does not kill it: it closes its standard
/// input, throws away what it still writes to our pipes, and lets it run.
pub struct Process {
    child: Child,
    /// Each of its pipes, whoever has the end by now.
    pipes: Vec<Rc<StreamState>>,
    /// Writes to its standard input, if that is a pipe. May be taken out.
    pub stdin: Option<StreamWriter>,
    /// Reads its standard output, if that is a pipe. May be taken out.
    pub stdout: Option<StreamReader>,
    /// Reads its standard error, if that is a pipe. May be taken out.
    pub stderr: Option<StreamReader>,
}

impl Process {
    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// How it ended, once that was noticed: its exit code, or minus the number of the signal that
    /// killed it.
    pub fn returncode(&self) -> Option<i32> {
        self.child.returncode()
    }

    /// Waits until it ended and all its pipes are closed, and gives its
    /// [`returncode`](Self::returncode). Several tasks may wait.
    ///
    /// A child that writes more to a pipe than its reader buffers, while nobody reads, never
    /// ends: [`communicate`](Self::communicate), or drop the reader.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the process is not touched.
    pub async fn wait(&self) -> i32 {
        let returncode = self.child.wait().await;
        for pipe in &self.pipes {
            // How a pipe ended is told to its reader or writer.
            let _ = pipe.outgoing.wait_closed().await;
        }
        returncode
    }

    /// Writes `input` to its standard input and closes that, reads its outputs to their end, all
    /// at once; then waits for its end. Gives what it wrote to standard output and error; `None`
    /// for what is no pipe of ours.
    ///
    /// A child that does not read its input is no error.
    ///
    /// # Cancel safety
    ///
    /// Output stays in [`stdout`](Self::stdout) and [`stderr`](Self::stderr). How much of `input`
    /// went out is not known, and its end was not told.
    ///
    /// # Errors
    ///
    /// Those of the pipes; [`InvalidInput`](io::ErrorKind::InvalidInput) when there is `input` and
    /// standard input is no pipe of ours.
    pub async fn communicate(
        &mut self,
        input: Option<&[u8]>,
    ) -> io::Result<(Option<Vec<u8>>, Option<Vec<u8>>)> {
        let Self { stdin, stdout, stderr, .. } = self;
        if stdin.is_none() && input.is_some_and(|input| !input.is_empty()) {
            let message = "there is input for a process whose standard input is no pipe; \
                           start it with `.stdin(Stdio::piped())`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let outputs = zip(read_all(stdout), read_all(stderr));
        let (fed, (out, err)) = zip(feed(stdin, input), outputs).await;
        fed?;
        let outputs = (out?, err?);
        self.wait().await;
        Ok(outputs)
    }

    /// Kills it: SIGKILL.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> io::Result<()> {
        self.child.kill()
    }

    /// Asks it to end: SIGTERM.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> io::Result<()> {
        self.child.terminate()
    }

    /// Sends the signal with this number; never to another process that got the same pid.
    ///
    /// # Errors
    ///
    /// `ESRCH`, asyncio's `ProcessLookupError`, once its end was noticed; an unknown number.
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        self.child.send_signal(signal)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("returncode", &self.returncode())
            .finish_non_exhaustive()
    }
}

async fn feed(stdin: &mut Option<StreamWriter>, input: Option<&[u8]>) -> io::Result<()> {
    let Some(writer) = stdin else { return Ok(()) };
    let written = match input {
        Some(input) => writer.write_all(input).await,
        None => Ok(()),
    };
    writer.close();
    match written {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

async fn read_all(output: &mut Option<StreamReader>) -> io::Result<Option<Vec<u8>>> {
    match output {
        Some(reader) => Ok(Some(reader.read_to_eof().await?)),
        None => Ok(None),
    }
}

/// The child closed its input.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// A child that nobody was given yet.
struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(child) = &self.0 {
            let _ = child.kill(); // an error says that it ended by itself
        }
    }
}
