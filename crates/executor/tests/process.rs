//! Child processes, real ones.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use asyncio_executor::{spawn_process, to_thread};
use asyncio_loop::{EventLoop, IoHandle, get_running_loop, run, testing};
use futures_lite::future::{poll_once, zip};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

async fn read_to_end(pipe: IoHandle<OwnedFd>) -> Vec<u8> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match pipe.read_with(|pipe| Ok(rustix::io::read(pipe, &mut chunk)?)).await.unwrap() {
            0 => return all,
            n => all.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Whether this process still has a child with that number, dead or alive; without reaping it.
fn is_our_child(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).is_ok()
}

/// Waits in real time for something that a thread of the library does by itself.
fn until(done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "it never happened");
        std::thread::yield_now();
    }
}

#[test]
fn the_exit_code_is_the_return_code_and_the_child_is_reaped() {
    run(async {
        let child = spawn_process(sh("exit 7")).unwrap();
        assert_eq!(child.returncode(), None);
        assert_eq!(child.wait().await, 7);
        assert_eq!(child.returncode(), Some(7));
        assert!(!is_our_child(child.pid()));
    })
    .unwrap();
}

/// Behaviour: SUB-04.
#[test]
fn what_is_written_to_cat_comes_back() {
    run(async {
        let mut command = Command::new("cat");
        let mut child =
            spawn_process(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let stdin = child.take_stdin().unwrap();
        let stdout = child.take_stdout().unwrap();
        assert!(child.take_stdin().is_none() && child.take_stderr().is_none());
        // More than the pipes hold, so that both sides have to wait for each other.
        let data = Vec::from_iter((0..300_000_u32).flat_map(u32::to_le_bytes));
        let write = async {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let n = stdin.write_with(|pipe| Ok(rustix::io::write(pipe, rest)?)).await.unwrap();
                rest = &rest[n..];
            }
            drop(stdin);
        };
        let (echo, ()) = zip(read_to_end(stdout), write).await;
        assert!(echo == data);
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

#[test]
fn both_outputs_are_pipes_of_their_own_and_non_blocking_only_on_our_side() {
    run(async {
        let mut command = sh("echo out; echo err >&2");
        let mut child =
            spawn_process(command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
        let (out, err) = (child.take_stdout().unwrap(), child.take_stderr().unwrap());
        for pipe in [&out, &err] {
            let flags = rustix::fs::fcntl_getfl(pipe.get_ref()).unwrap();
            assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
            let flags = rustix::io::fcntl_getfd(pipe.get_ref().as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        let (out, err) = zip(read_to_end(out), read_to_end(err)).await;
        assert_eq!((&out[..], &err[..]), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

/// Behaviour: SUB-13.
#[test]
fn streams_that_are_no_pipes_are_none() {
    run(async {
        let mut command = sh("test $(wc -c) -eq 0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = spawn_process(&mut command).unwrap();
        assert!(child.take_stdin().is_none());
        assert!(child.take_stdout().is_none() && child.take_stderr().is_none());
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

/// Behaviour: SUB-08.
#[test]
fn signals_are_return_codes_below_zero() {
    const SIGHUP: i32 = 1;
    run(async {
        let child = spawn_process(sh("exec sleep 60")).unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().await, -9);
        let child = spawn_process(sh("exec sleep 60")).unwrap();
        child.terminate().unwrap();
        assert_eq!(child.wait().await, -15);
        let mut child =
            spawn_process(sh("echo ready; exec sleep 60").stdout(Stdio::piped())).unwrap();
        let mut line = [0; 16];
        let stdout = child.take_stdout().unwrap();
        stdout.read_with(|pipe| Ok(rustix::io::read(pipe, &mut line)?)).await.unwrap();
        child.send_signal(SIGHUP).unwrap();
        assert_eq!(child.wait().await, -SIGHUP);
    })
    .unwrap();
}

#[test]
fn a_process_whose_end_is_known_cannot_be_signalled() {
    run(async {
        let child = spawn_process(Command::new("true")).unwrap();
        assert_eq!(child.wait().await, 0);
        for refused in [child.kill(), child.terminate(), child.send_signal(1)] {
            assert_eq!(refused.unwrap_err().raw_os_error(), Some(3), "ESRCH");
        }
    })
    .unwrap();
}

#[test]
fn a_process_that_ended_unnoticed_swallows_signals() {
    run(async {
        let child = spawn_process(Command::new("true")).unwrap();
        // Ended, while the loop stands still and so cannot notice.
        let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

#[test]
fn a_number_that_is_no_signal_is_refused() {
    run(async {
        let child = spawn_process(Command::new("true")).unwrap();
        for number in [0, -1, 4242] {
            let error = child.send_signal(number).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), format!("no signal has the number {number}"));
        }
        child.wait().await;
    })
    .unwrap();
}

/// Behaviour: SUB-24.
#[test]
fn a_program_that_is_not_there_is_an_error() {
    for stdin in [Stdio::null(), Stdio::piped()] {
        let error = run(async move {
            spawn_process(Command::new("/nowhere/no such program").stdin(stdin)).unwrap_err()
        });
        assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn without_a_running_loop_no_process_is_started() {
    let error = spawn_process(Command::new("true")).unwrap_err();
    assert_eq!(error.to_string(), "no running event loop in this thread");
}

#[test]
fn ten_waiters_all_get_the_code_and_one_that_is_dropped_disturbs_nobody() {
    run(async {
        let mut child = spawn_process(sh("read line; exit 3").stdin(Stdio::piped())).unwrap();
        let mut dropped = Box::pin(child.wait());
        assert!(poll_once(&mut dropped).await.is_none());
        let waiters = (0..10).map(|_| child.wait());
        let mut waiters = Vec::from_iter(waiters.map(Box::pin));
        for waiter in &mut waiters {
            assert!(poll_once(waiter).await.is_none());
        }
        drop(dropped);
        drop(child.take_stdin());
        for waiter in waiters {
            assert_eq!(waiter.await, 3);
        }
        assert_eq!(child.wait().await, 3, "and whoever comes late");
    })
    .unwrap();
}

#[test]
fn a_child_whose_handle_was_dropped_is_reaped_by_the_loop() {
    run(async {
        let mut child = spawn_process(sh("read line").stdin(Stdio::piped())).unwrap();
        let pid = child.pid();
        let stdin = child.take_stdin();
        drop(child);
        assert!(is_our_child(pid), "dropping does not kill it");
        drop(stdin);
        while is_our_child(pid) {
            asyncio_coro::yield_now().await;
        }
    })
    .unwrap();
}

#[test]
fn a_child_that_outlives_its_loop_is_reaped_by_a_thread() {
    let (_stdin, child) = run(async {
        let mut child = spawn_process(sh("read line; exit 5").stdin(Stdio::piped())).unwrap();
        (child.take_stdin().unwrap().into_inner(), child)
    })
    .unwrap();
    assert!(is_our_child(child.pid()));
    assert_eq!(child.returncode(), None);
    drop(_stdin);
    until(|| child.returncode().is_some());
    assert_eq!(child.returncode(), Some(5));
    assert!(!is_our_child(child.pid()));
    // Another runtime can still hear of it.
    assert_eq!(futures_lite::future::block_on(child.wait()), 5);
}

#[test]
fn a_child_that_ended_before_the_loop_closed_is_reaped_by_the_close() {
    let event_loop = EventLoop::new().unwrap();
    let spawn = async {
        let mut child = spawn_process(sh("read line; exit 2").stdin(Stdio::piped())).unwrap();
        (child.take_stdin().unwrap().into_inner(), child)
    };
    let (stdin, child) = event_loop.run_until_complete(spawn).unwrap();
    // It ends while the loop does not run, and so cannot notice.
    drop(stdin);
    let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    assert_eq!(child.returncode(), None);
    event_loop.close().unwrap();
    assert_eq!(child.returncode(), Some(2));
    assert!(!is_our_child(child.pid()));
}

#[test]
fn a_child_reaped_elsewhere_has_the_return_code_255() {
    run(async {
        let mut child = spawn_process(sh("read line").stdin(Stdio::piped())).unwrap();
        let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
        drop(child.take_stdin());
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
        assert_eq!(child.wait().await, 255);
        assert!(child.kill().is_err(), "its number may belong to anybody by now");
    })
    .unwrap();
}

/// Behaviour: SUB-26.
#[test]
fn a_signal_to_a_child_that_is_just_exiting_never_loses_its_code() {
    const SIGUSR1: i32 = 10;
    run(async {
        for _ in 0..10 {
            let mut child = spawn_process(sh("read line; exit 0").stdin(Stdio::piped())).unwrap();
            drop(child.take_stdin());
            child.send_signal(SIGUSR1).unwrap();
            let returncode = child.wait().await;
            assert!(returncode == 0 || returncode == -SIGUSR1, "{returncode}");
        }
    })
    .unwrap();
}

/// Behaviour: SUB-17.
#[test]
fn the_environment_and_paths_are_the_commands() {
    run(async {
        let mut command = sh("printf %s \"$SPAM\"; pwd");
        command.env("SPAM", "eggs").current_dir("/").stdout(Stdio::piped());
        let mut child = spawn_process(&mut command).unwrap();
        let out = read_to_end(child.take_stdout().unwrap()).await;
        assert_eq!(out, b"eggs/\n");
        assert_eq!(child.wait().await, 0);

        let mut command = Command::new(Path::new("/bin").join("sh"));
        command.arg("-c").arg("env").env_clear().env("SPAM", "ham").stdout(Stdio::piped());
        let mut child = spawn_process(&mut command).unwrap();
        let out = read_to_end(child.take_stdout().unwrap()).await;
        assert!(String::from_utf8(out).unwrap().lines().any(|line| line == "SPAM=ham"));
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

#[test]
fn waiting_holds_a_virtual_clock() {
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let before = event_loop.time();
        event_loop.call_later(Duration::from_secs(3600), || ());
        // Longer than the moment that the clock leaves the system to deliver what is under way.
        let child = spawn_process(sh("exec sleep 0.1")).unwrap();
        assert_eq!(child.wait().await, 0);
        assert!(event_loop.time() - before < Duration::from_secs(3600));
    })
    .unwrap();
}

#[test]
fn debug_text_says_pid_and_return_code() {
    run(async {
        let child = spawn_process(sh("exit 4")).unwrap();
        let pid = child.pid();
        assert_eq!(format!("{child:?}"), format!("<Child pid={pid} running>"));
        child.wait().await;
        assert_eq!(format!("{child:?}"), format!("<Child pid={pid} returncode=4>"));
    })
    .unwrap();
}

#[test]
fn on_the_portable_selector_children_are_waited_for_as_well() {
    let event_loop = testing::portable_loop().unwrap();
    let returncode = event_loop.run_until_complete(async {
        let mut child = spawn_process(sh("read line; exit 6").stdin(Stdio::piped())).unwrap();
        let mut waiting = pin!(child.wait());
        assert!(poll_once(waiting.as_mut()).await.is_none());
        drop(child.take_stdin());
        waiting.await
    });
    assert_eq!(returncode.unwrap(), 6);
    event_loop.close().unwrap();
}

/// A stopped child has not ended.
#[test]
fn a_child_that_is_stopped_is_not_taken_for_dead() -> io::Result<()> {
    run(async {
        let child = spawn_process(sh("exec sleep 60"))?;
        let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::STOP)?;
        let mut waiting = pin!(child.wait());
        assert!(poll_once(waiting.as_mut()).await.is_none());
        to_thread(move || {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(pid), options).map(drop)
        })
        .await?;
        assert!(poll_once(waiting.as_mut()).await.is_none());
        kill_process(pid, Signal::CONT)?;
        child.kill()?;
        assert_eq!(waiting.await, -9);
        Ok(())
    })
    .unwrap()
}
