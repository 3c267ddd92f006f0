//! The program as its users see it: the terminal, `curl`, a plain socket, Ctrl-C.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

/// A directory with known files, which ends with the test.
struct Files(std::path::PathBuf);

impl Files {
    fn new(test: &str, files: &[(&str, &[u8])]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = std::fs::remove_dir_all(&dir);
        for (name, content) in files {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Files(dir)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Git must not take the directory for a part of the repository around it; and a SIGINT that whoever runs the tests has
/// chosen to ignore is not to be ignored by the program, where `env` knows how to say so.
fn codesearch(dir: &Path) -> Command {
    let heeds_sigint = Command::new("env").args(["--default-signal=INT", "true"]).output();
    let mut command = match heeds_sigint {
        Ok(output) if output.status.success() => {
            let mut env = Command::new("env");
            env.args(["--default-signal=INT", env!("CARGO_BIN_EXE_codesearch")]);
            env
        }
        _ => Command::new(env!("CARGO_BIN_EXE_codesearch")),
    };
    command.env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap()).arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A service that serves until the test ends.
struct Serving {
    child: Child,
    /// Kept, so that what it prints has a reader.
    _stdout: BufReader<ChildStdout>,
    ports: Vec<u16>,
}

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut child = codesearch(dir).arg("--serve").spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("searches on") {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended before it served");
        }
        let after_colon = line.split(':').skip(1);
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let ports = after_colon.map(|text| digits(text).parse().unwrap()).collect();
        Serving { child, _stdout: stdout, ports }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[0])).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        BufReader::new(stream)
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(stream: &mut BufReader<TcpStream>, line: &str) -> String {
    stream.get_mut().write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn three_files(test: &str) -> Files {
    Files::new(
        test,
        &[
            ("a.txt", b"the quick brown fox"),
            ("deep/er/b.txt", b"the lazy dog, and a fox"),
            ("c.bin", b"\xff\xfe fox"),
        ],
    )
}

#[test]
fn it_checks_itself_with_a_hundred_clients_and_says_what_each_tier_did() {
    let files = three_files("main_job");
    let Output { status, stdout, stderr } = codesearch(&files.0).output().unwrap();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert!(status.success(), "{stdout}{stderr}");
    assert!(stdout.starts_with("3 files in "), "{stdout}");
    assert!(stdout.contains("100 clients made 5 searches each, and every answer was right"));
    let tiers = ["coro", "loop", "future", "task", "executor", "queue", "transport", "protocol"];
    for (tier, name) in (1..).zip(tiers.into_iter().chain(["stream"])) {
        assert!(stdout.contains(&format!("\n  {tier} {name}: ")), "no line for {name}: {stdout}");
    }
}

#[test]
fn it_answers_searches_and_survives_nonsense_and_a_line_that_is_too_long() {
    let files = three_files("lines");
    let serving = Serving::start(&files.0);
    let mut stream = serving.connect();
    assert_eq!(say(&mut stream, "SEARCH lazy fox\n"), "OK 1\n");
    assert_eq!(say(&mut stream, ""), "deep/er/b.txt\n");
    assert_eq!(say(&mut stream, "SEARCH nowhere\n"), "OK 0\n");
    assert_eq!(say(&mut stream, "SEARCH \"' OR (*\n"), "OK 0\n");
    assert_eq!(say(&mut stream, "SEARCH\n"), "ERR SEARCH needs at least one word\n");
    assert_eq!(say(&mut stream, "HELLO\n"), "ERR say SEARCH words, STATS or QUIT\n");
    for kib in [65, 3000] {
        let long = "x".repeat(kib * 1024) + " QUIT\n";
        assert_eq!(say(&mut stream, &long), "ERR a line has at most 64 KiB\n", "once, for {kib}");
    }
    assert_eq!(say(&mut stream, "SEARCH \0 \"\n"), "OK 0\n");
    assert!(say(&mut stream, "STATS\n").starts_with("OK {\"3 future: "));
    assert_eq!(say(&mut stream, "QUIT\n"), "BYE\n");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "QUIT closes the connection");
}

#[test]
fn curl_can_read_the_counts() {
    let files = three_files("curl");
    let serving = Serving::start(&files.0);
    let url = format!("http://127.0.0.1:{}", serving.ports[1]);
    let curl = |path: &str| {
        Command::new("curl")
            .args(["-sS", "--max-time", "20", "-w", "|%{http_code}"])
            .arg(url.clone() + path)
            .output()
    };
    let Ok(stats) = curl("/stats") else {
        return eprintln!("skipped: curl_can_read_the_counts needs curl");
    };
    let stats = text(&stats.stdout);
    assert!(stats.contains("\"5 executor: read a file in a thread\":3"), "{stats}");
    assert!(stats.ends_with("}|200"), "{stats}");
    assert_eq!(text(&curl("/else").unwrap().stdout), "ask for GET /stats|404");
}

#[test]
fn ctrl_c_lets_the_connections_end_and_dies_by_the_signal() {
    let files = three_files("ctrl_c");
    let mut serving = Serving::start(&files.0);
    let mut stream = serving.connect();
    assert_eq!(say(&mut stream, "SEARCH dog\n"), "OK 1\n");
    assert_eq!(say(&mut stream, ""), "deep/er/b.txt\n");
    serving.interrupt();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection was ended, not reset");
    assert_eq!(serving.child.wait().unwrap().signal(), Some(2), "as a shell expects of Ctrl-C");
}

#[test]
fn a_wrong_directory_is_named() {
    let Output { status, stderr, .. } = codesearch(Path::new("/no/such/place")).output().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(text(&stderr), "codesearch: /no/such/place is not a directory\n");
}

#[test]
fn a_taken_port_is_named() {
    let files = three_files("taken");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let Output { status, stderr, .. } =
        codesearch(&files.0).args(["--port", &port]).output().unwrap();
    assert_eq!(status.code(), Some(1));
    let stderr = text(&stderr);
    assert!(stderr.contains(&format!("127.0.0.1:{port}")) && stderr.contains("in use"), "{stderr}");
}

#[test]
fn an_unreadable_file_is_counted_and_named() {
    let files = three_files("unreadable");
    std::os::unix::fs::symlink("nowhere", files.0.join("broken")).unwrap();
    let Output { status, stdout, .. } = codesearch(&files.0).output().unwrap();
    let stdout = text(&stdout);
    assert!(status.success(), "{stdout}");
    assert!(stdout.contains("1 of them unreadable\n  broken: No such file"), "{stdout}");
}

#[test]
fn an_index_can_be_kept_in_a_file() {
    let files = three_files("kept");
    let db = files.0.join("index.db");
    let run = || codesearch(&files.0).arg("--db").arg(&db).output().unwrap();
    assert!(run().status.success());
    assert!(run().status.success(), "the index of an earlier run is replaced");
    assert!(std::fs::read(&db).unwrap().starts_with(b"SQLite format 3"));
    std::fs::write(&db, "no database at all, but long enough to have a header".repeat(20)).unwrap();
    let Output { status, stderr, .. } = run();
    assert_eq!(status.code(), Some(1));
    assert!(text(&stderr).contains("index.db as a database"), "{}", text(&stderr));
}
