//! Child processes on streams.

use std::future::{IntoFuture, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_executor::to_thread;
use asyncio_loop::run;
use asyncio_stream::{CreateSubprocess, create_subprocess_exec};
use asyncio_task::{create_task, gather, timeout};

fn shell(script: &str) -> CreateSubprocess {
    create_subprocess_exec("sh").args(["-c", script])
}

fn piped(script: &str) -> CreateSubprocess {
    shell(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// Behaviour: SUB-04.
#[test]
fn what_is_written_to_stdin_comes_back_on_stdout() {
    run(async {
        let mut cat = piped("cat").await.unwrap();
        let mut stdin = cat.stdin.take().unwrap();
        stdin.write(b"some data");
        stdin.drain().await.unwrap();
        stdin.close();
        let stdout = cat.stdout.as_mut().unwrap().read_to_eof().await.unwrap();
        assert_eq!(stdout, b"some data");
        assert_eq!(cat.wait().await, 0);
        assert_eq!(cat.returncode(), Some(0));
    })
    .unwrap();
}

#[test]
fn input_for_a_process_whose_stdin_is_no_pipe_is_an_error_and_not_lost_in_silence() {
    run(async {
        let mut child = shell("true").stdin(Stdio::null()).await.unwrap();
        let error = child.communicate(Some(b"to nobody")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("Stdio::piped()"), "{error}");
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

/// Behaviour: SUB-05, SUB-13.
#[test]
fn communicate_feeds_reads_and_waits() {
    run(async {
        let mut both = piped("cat; echo problem >&2; exit 3").await.unwrap();
        let (stdout, stderr) = both.communicate(Some(b"data")).await.unwrap();
        assert_eq!((stdout.unwrap(), stderr.unwrap()), (b"data".to_vec(), b"problem\n".to_vec()));
        assert_eq!(both.returncode(), Some(3));
        for input in [None, Some(&b""[..])] {
            let mut cat = piped("cat").await.unwrap();
            assert_eq!(cat.communicate(input).await.unwrap().0.unwrap(), b"");
        }
        let null = Stdio::null;
        let mut quiet = shell("cat").stdin(null()).stdout(null()).stderr(null()).await.unwrap();
        assert_eq!(quiet.communicate(None).await.unwrap(), (None, None));
    })
    .unwrap();
}

/// Behaviour: SUB-10.
#[test]
fn a_child_that_ignores_its_input_is_no_error() {
    run(async {
        let mut deaf = piped("exec 0<&-; echo done").await.unwrap();
        let (stdout, _) = deaf.communicate(Some(&vec![1; 3_000_000])).await.unwrap();
        assert_eq!(stdout.unwrap(), b"done\n");
    })
    .unwrap();
}

/// Behaviour: SUB-09.
#[test]
fn drain_says_that_the_child_closed_its_input() {
    run(async {
        let mut child = piped("exec 0<&-; exec sleep 60").await.unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let failed = loop {
            stdin.write(&[1; 100_000]);
            if let Err(error) = stdin.drain().await {
                break error;
            }
        };
        let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(kinds.contains(&failed.kind()), "{failed}");
        child.kill().unwrap();
        assert_eq!(child.wait().await, -9);
    })
    .unwrap();
}

/// Behaviour: SUB-06, SUB-08, SUB-17.
#[test]
fn exit_codes_signals_and_environment() {
    run(async {
        assert_eq!(shell("exit 7").await.unwrap().wait().await, 7);
        let sleeping = shell("exec sleep 60").await.unwrap();
        sleeping.terminate().unwrap();
        assert_eq!(sleeping.wait().await, -15);
        assert!(sleeping.kill().is_err(), "it ended, and that is known");
        let mut env = shell("echo $GREETING; pwd")
            .env("GREETING", "hello")
            .current_dir("/")
            .stdout(Stdio::piped())
            .await
            .unwrap();
        assert_eq!(env.communicate(None).await.unwrap().0.unwrap(), b"hello\n/\n");
    })
    .unwrap();
}

/// Behaviour: SUB-11, SUB-15.
#[test]
fn a_slow_reader_gets_everything_also_after_the_child_ended() {
    run(async {
        let script = "head -c 262144 /dev/zero; exit 1";
        let mut child = shell(script).stdout(Stdio::piped()).limit(10).await.unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut count = 0;
        loop {
            let read = stdout.read(3_000).await.unwrap();
            if read.is_empty() {
                break;
            }
            count += read.len();
            yield_now().await;
        }
        assert_eq!(count, 262_144);
        assert_eq!(child.wait().await, 1);
    })
    .unwrap();
}

/// Behaviour: SUB-16.
#[test]
fn ten_children_at_once_and_ten_waits_for_one() {
    run(async {
        let outputs = gather((0..10).map(|n| async move {
            let mut child = shell(&format!("echo {n}")).stdout(Stdio::piped()).await.unwrap();
            child.communicate(None).await.unwrap().0.unwrap()
        }));
        let expected: Vec<_> = (0..10).map(|n| format!("{n}\n").into_bytes()).collect();
        assert_eq!(outputs.await.unwrap(), expected);
        let child = Rc::new(shell("exit 5").await.unwrap());
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let child = child.clone();
                create_task(async move { child.wait().await })
            })
            .collect();
        for task in waiting {
            assert_eq!(task.await.unwrap(), 5);
        }
    })
    .unwrap();
}

/// Behaviour: SUB-24.
#[test]
fn a_program_that_does_not_exist_is_an_error() {
    run(async {
        let missing = create_subprocess_exec("/no/such/program").args(["x"]).stdin(Stdio::piped());
        assert_eq!(missing.await.unwrap_err().kind(), io::ErrorKind::NotFound);
    })
    .unwrap();
}

/// Behaviour: SUB-20, SUB-21.
#[test]
fn a_creation_dropped_at_any_point_kills_the_child() {
    run(async {
        for polls in 1.. {
            // The child holds the writing end of a pipe of ours as long as it lives.
            let flags = rustix::pipe::PipeFlags::CLOEXEC;
            let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
            let mut creating = piped("exec sleep 600").stderr(writer).into_future();
            let mut left = polls;
            let created = poll_fn(|cx| {
                if left == 0 {
                    return Poll::Ready(None);
                }
                left -= 1;
                creating.as_mut().poll(cx).map(Some)
            })
            .await;
            drop(creating);
            if let Some(created) = created {
                let child = created.unwrap();
                child.kill().unwrap();
                assert_eq!(child.wait().await, -9);
                assert!(polls > 1, "there was a point to drop it at");
                break;
            }
            let end = to_thread(move || rustix::io::read(&reader, &mut [0; 1]).unwrap());
            let end = timeout(Duration::from_secs(30), end).await;
            assert_eq!(end.expect("the child is dead"), 0);
        }
    })
    .unwrap();
}

#[test]
fn a_dropped_process_lives_on_without_input_and_its_output_is_thrown_away() {
    run(async {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let script = "cat; head -c 300000 /dev/zero; echo lived on >&2";
        let child = shell(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        drop(child.stderr(OwnedFd::from(theirs)).await.unwrap());
        let told = to_thread(move || io::read_to_string(&mut ours).unwrap());
        assert_eq!(told.await, "lived on\n");
    })
    .unwrap();
}
