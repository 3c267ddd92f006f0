//! What happens when the process has no file descriptors left. Alone in its file, for the limit is the process's.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::thread;

use asyncio_loop::{EventLoop, RunError, run, sock_accept};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::Socket;

/// Opens files until there is no descriptor left.
fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn without_descriptors_left_all_is_an_error_and_goes_on_when_there_are_again() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let listener = Socket::from(listener);
        let mut files = exhaust();
        let is_exhausted = |error: &std::io::Error| error.raw_os_error() == Some(libc::EMFILE);
        // The connection stays in the queue, and is accepted once there is a descriptor for it.
        assert!(is_exhausted(&sock_accept(&listener).await.unwrap_err()));
        files.pop();
        let (accepted, _) = sock_accept(&listener).await.unwrap();
        drop((accepted, client));

        // With none or one, a loop cannot be made; it gives back what it had.
        files.extend(exhaust());
        let nested = thread::spawn(move || {
            let all = files.len();
            for _ in 0..2 {
                assert!(is_exhausted(&EventLoop::new().unwrap_err()));
                let RunError::Os(error) = run(async {}).unwrap_err() else { panic!() };
                assert!(is_exhausted(&error));
                files.pop();
            }
            files.truncate(all - 8);
            EventLoop::new().unwrap().close().unwrap();
            files.extend(exhaust());
            assert_eq!(files.len(), all, "nothing leaked");
        });
        nested.join().unwrap();
    })
    .unwrap();
}
