//! `StreamReader`, fed by hand: what each read returns, and what it leaves.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_stream::{
    Feeder, IncompleteReadError, LimitOverrunError, ReadExactlyError, ReadUntilError,
    ReadlineError, StreamReader,
};
use futures_lite::StreamExt;
use futures_lite::future::block_on;

fn reader(limit: usize, chunks: &[&[u8]]) -> (StreamReader, Feeder) {
    let (reader, feeder) = StreamReader::new(limit);
    chunks.iter().for_each(|chunk| feeder.feed_data(chunk));
    (reader, feeder)
}

fn ended(limit: usize, chunks: &[&[u8]]) -> StreamReader {
    let (reader, feeder) = reader(limit, chunks);
    feeder.feed_eof();
    reader
}

/// Everything that is left.
fn rest(mut reader: StreamReader) -> Vec<u8> {
    let buffered = reader.buffered();
    if buffered == 0 { Vec::new() } else { block_on(reader.read(buffered)).unwrap() }
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Behaviour: STR-03, STR-04, STR-06, STR-07, STR-09.
#[test]
fn read_returns_what_is_there_up_to_the_maximum() {
    let (mut reader, feeder) = reader(3, &[b"", b"line1", b"line2"]);
    block_on(async {
        assert_eq!(reader.read(0).await.unwrap(), b"");
        assert_eq!(reader.buffered(), 10);
        assert_eq!(reader.read(5).await.unwrap(), b"line1", "also above the limit");
        assert_eq!(reader.read(1024).await.unwrap(), b"line2");
        feeder.feed_eof();
        assert_eq!(reader.read(1024).await.unwrap(), b"");
    });
    let mut reader = ended(3, &[b"one", b"two", b"three"]);
    assert_eq!(block_on(reader.read_to_eof()).unwrap(), b"onetwothree");
    assert!(reader.at_eof());
}

/// Behaviour: STR-05.
#[test]
fn read_waits_for_the_first_bytes_and_is_woken_once() {
    let (mut reader, feeder) = StreamReader::new(100);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let mut reading = pin!(reader.read(30));
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    feeder.feed_data(b"");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    feeder.feed_data(b"eighteen bytes");
    feeder.feed_data(b"long");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(Ok(read)) = reading.as_mut().poll(&mut cx) else { panic!() };
    assert_eq!(read, b"eighteen byteslong");
}

#[test]
#[should_panic(expected = "limit cannot be 0")]
fn a_limit_of_nothing_is_a_mistake() {
    let _ = StreamReader::new(0);
}

/// Behaviour: STR-10, STR-15, STR-16, STR-18.
#[test]
fn readline_joins_chunks_and_returns_the_rest_at_the_end() {
    let (mut reader, feeder) = reader(100, &[b"chunk1 ", b"chunk2 ", b"chunk3 \n chunk4"]);
    block_on(async {
        assert_eq!(reader.readline().await.unwrap(), b"chunk1 chunk2 chunk3 \n");
        assert_eq!(reader.read(7).await.unwrap(), b" chunk4");
        feeder.feed_data(b"\n\npartial");
        assert_eq!(reader.readline().await.unwrap(), b"\n");
        assert_eq!(reader.readline().await.unwrap(), b"\n");
        assert!(!reader.at_eof());
        feeder.feed_eof();
        assert!(!reader.at_eof(), "there is still something");
        assert_eq!(reader.readline().await.unwrap(), b"partial");
        assert_eq!(reader.readline().await.unwrap(), b"");
        assert!(reader.at_eof());
    });
}

/// Behaviour: STR-11, STR-12, STR-14.
#[test]
fn a_line_over_the_limit_is_dropped_with_its_end_if_that_is_there() {
    let table: [(usize, &[u8], Result<&[u8], bool>, &[u8]); 6] = [
        (7, b"1234567\n", Ok(b"1234567\n"), b""),
        (7, b"12345678\n", Err(true), b""),
        (7, b"12345678", Err(false), b""),
        (3, b"li", Ok(b"li"), b""),
        (3, b"line1\nline2\n", Err(true), b"line2\n"),
        (3, b"line1line2", Err(false), b""),
    ];
    for (limit, input, expected, left) in table {
        let mut reader = ended(limit, &[input]);
        match (block_on(reader.readline()), expected) {
            (Ok(line), Ok(expected)) => assert_eq!(line, expected),
            (Err(ReadlineError::TooLong(error)), Err(found)) => assert_eq!(error.found, found),
            (got, _) => panic!("limit {limit}, {input:?}: {got:?}"),
        }
        assert_eq!(rest(reader), left, "limit {limit}, {input:?}");
    }
}

/// Behaviour: STR-13.
#[test]
fn a_line_that_grows_over_the_limit_while_it_is_waited_for_is_an_error_too() {
    for (more, left) in [(&b"aaa"[..], &b""[..]), (b"aaa\nnext", b"next")] {
        let (mut reader, feeder) = reader(3, &[b"aa"]);
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut reading = pin!(reader.readline());
            assert!(reading.as_mut().poll(&mut cx).is_pending());
            feeder.feed_data(more);
            let Poll::Ready(Err(error)) = reading.as_mut().poll(&mut cx) else { panic!() };
            assert!(matches!(error, ReadlineError::TooLong(_)));
        }
        assert_eq!(rest(reader), left);
    }
}

/// Behaviour: STR-19.
#[test]
fn readlines_yields_each_line_and_the_rest() {
    let mut reader = ended(100, &[b"line1\nli", b"ne2\n", b"line3"]);
    let lines: Vec<_> = block_on(reader.readlines().map(Result::unwrap).collect());
    assert_eq!(lines, [b"line1\n".to_vec(), b"line2\n".to_vec(), b"line3".to_vec()]);
}

/// Behaviour: PEP-02.
#[test]
fn a_while_let_loop_iterates_the_lines_of_a_reader() {
    let mut reader = ended(100, &[b"line1\nli", b"ne2\n", b"line3"]);
    block_on(async {
        let mut seen = Vec::new();
        let mut lines = reader.readlines();
        while let Some(line) = lines.next().await {
            seen.push(line.unwrap());
        }
        assert_eq!(seen, [b"line1\n".to_vec(), b"line2\n".to_vec(), b"line3".to_vec()]);
    });
}

#[test]
fn readlines_goes_on_behind_a_line_that_is_too_long_and_ends_after_an_error() {
    let (mut reader, feeder) = reader(4, &[b"ok\nmuch too long\nok\nend"]);
    block_on(async {
        let mut lines = reader.readlines();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"ok\n");
        assert!(matches!(lines.next().await, Some(Err(ReadlineError::TooLong(_)))));
        assert_eq!(lines.next().await.unwrap().unwrap(), b"ok\n");
        feeder.set_exception(io::ErrorKind::ConnectionReset.into());
        assert!(matches!(lines.next().await, Some(Err(ReadlineError::Io(_)))));
        assert!(lines.next().await.is_none());
    });
}

/// Behaviour: STR-21, STR-22, XTR-09.
#[test]
fn readuntil_finds_its_separator_however_the_bytes_are_cut() {
    let text = b"QWEaaXYaaa rest";
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let (mut reader, feeder) = StreamReader::new(100);
            let chunks = [&text[..first], &text[first..second], &text[second..]];
            let mut cx = Context::from_waker(Waker::noop());
            let mut reading = pin!(reader.readuntil(b"aaa"));
            let found = chunks.into_iter().find_map(|chunk| {
                feeder.feed_data(chunk);
                match reading.as_mut().poll(&mut cx) {
                    Poll::Ready(read) => Some(read.unwrap()),
                    Poll::Pending => None,
                }
            });
            assert_eq!(found.unwrap(), b"QWEaaXYaaa", "cut at {first} and {second}");
        }
    }
    let (mut reader, _feeder) = reader(100, &[b"some dataAAAxxx"]);
    assert_eq!(block_on(reader.readuntil(b"AAA")).unwrap(), b"some dataAAA");
    assert_eq!(rest(reader), b"xxx");
}

/// Behaviour: STR-23.
#[test]
fn readuntil_at_the_end_gives_what_came() {
    let mut reader = ended(100, &[b"some dataAA"]);
    let Err(ReadUntilError::Incomplete(error)) = block_on(reader.readuntil(b"AAA")) else {
        panic!()
    };
    let expected = IncompleteReadError { partial: b"some dataAA".to_vec(), expected: None };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "11 bytes read on a total of undefined expected bytes");
    assert!(reader.at_eof());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
}

/// Behaviour: STR-24, STR-26, STR-27.
#[test]
fn readuntil_over_the_limit_leaves_everything_in_the_reader() {
    let (mut reader, feeder) = reader(3, &[b"some dataAA"]);
    let Err(ReadUntilError::LimitOverrun(error)) = block_on(reader.readuntil(b"AAA")) else {
        panic!()
    };
    assert_eq!(error, LimitOverrunError { consumed: 9, found: false });
    assert!(error.to_string().contains("not found"));
    assert_eq!(reader.buffered(), 11);
    feeder.feed_data(b"A");
    let Err(ReadUntilError::LimitOverrun(error)) = block_on(reader.readuntil(b"AAA")) else {
        panic!()
    };
    assert_eq!(error, LimitOverrunError { consumed: 9, found: true });
    assert!(error.to_string().contains("is found"));
    assert_eq!(rest(reader), b"some dataAAA");

    let (mut reader, _feeder) = self::reader(3, &[b"1234567\n"]);
    let separators: &[&[u8]] = &[b"\n", b"7\n"];
    assert!(block_on(reader.readuntil_any(separators)).is_err());
    let mut reader = ended(100, &[b"ab"]);
    let separators: &[&[u8]] = &[b"a long separator", b"b"];
    assert_eq!(block_on(reader.readuntil_any(separators)).unwrap(), b"ab");
}

/// Behaviour: STR-25.
#[test]
fn of_several_separators_the_one_that_ends_first_wins() {
    let (mut reader, _feeder) = reader(100, &[b"one\rtwo\nthree\r"]);
    let separators: &[&[u8]] = &[b"\r", b"\n"];
    for expected in [&b"one\r"[..], b"two\n", b"three\r"] {
        assert_eq!(block_on(reader.readuntil_any(separators)).unwrap(), expected);
    }
    let (mut reader, _feeder) = self::reader(100, &[b"ABCDEFG"]);
    let separators: &[&[u8]] = &[b"DEF", b"BCDE"];
    assert_eq!(block_on(reader.readuntil_any(separators)).unwrap(), b"ABCDE");
    assert_eq!(rest(reader), b"FG");
}

/// Behaviour: STR-20.
#[test]
#[should_panic(expected = "a separator has at least one byte")]
fn an_empty_separator_is_a_mistake() {
    let (mut reader, _feeder) = reader(100, &[b"x"]);
    let _ = block_on(reader.readuntil(b""));
}

/// Behaviour: STR-20.
#[test]
#[should_panic(expected = "there is at least one separator")]
fn no_separator_is_a_mistake() {
    let (mut reader, _feeder) = reader(100, &[b"x"]);
    let _ = block_on(reader.readuntil_any(&[]));
}

/// Behaviour: STR-29, STR-30, STR-31.
#[test]
fn readexactly_reads_that_many_also_above_the_limit() {
    let (mut reader, _feeder) = reader(3, &[b"0123456789", b"0123456789", b"0123456789"]);
    assert_eq!(block_on(reader.readexactly(0)).unwrap(), b"");
    assert_eq!(block_on(reader.readexactly(20)).unwrap(), b"01234567890123456789");
    assert_eq!(rest(reader), b"0123456789");
    let mut reader = ended(100, &[b"eighteen byteslong"]);
    let Err(ReadExactlyError::Incomplete(error)) = block_on(reader.readexactly(36)) else {
        panic!()
    };
    assert_eq!((error.partial.len(), error.expected), (18, Some(36)));
    assert_eq!(error.to_string(), "18 bytes read on a total of 36 expected bytes");
    assert!(reader.at_eof());
}

/// Behaviour: STR-08, STR-17, STR-32, STR-33, STR-34.
#[test]
fn after_an_error_every_read_returns_it_and_the_waiting_one_too() {
    let (mut reader, feeder) = reader(100, &[b"data\n"]);
    assert!(reader.exception().is_none());
    let mut cx = Context::from_waker(Waker::noop());
    block_on(reader.readline()).unwrap();
    {
        let mut reading = pin!(reader.readline());
        assert!(reading.as_mut().poll(&mut cx).is_pending());
        feeder.set_exception(io::Error::new(io::ErrorKind::TimedOut, "a reason"));
        let Poll::Ready(Err(ReadlineError::Io(error))) = reading.as_mut().poll(&mut cx) else {
            panic!()
        };
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::TimedOut, "a reason".into()));
    }
    feeder.feed_data(b"more\n");
    block_on(async {
        let kinds = [
            reader.read(1).await.unwrap_err().kind(),
            reader.read_to_eof().await.unwrap_err().kind(),
            io::Error::from(reader.readline().await.unwrap_err()).kind(),
            io::Error::from(reader.readuntil(b"x").await.unwrap_err()).kind(),
            io::Error::from(reader.readexactly(1).await.unwrap_err()).kind(),
        ];
        assert_eq!(kinds, [io::ErrorKind::TimedOut; 5]);
    });
    assert_eq!(reader.exception().unwrap().kind(), io::ErrorKind::TimedOut);
}

/// One read of each kind.
type Read = fn(&mut StreamReader) -> Pin<Box<dyn Future<Output = Vec<u8>> + '_>>;

const TEXT: &[u8] = b"0123456789\nand the rest";

/// Behaviour: STR-35.
#[test]
fn a_read_cancelled_at_any_suspension_point_loses_nothing() {
    let reads: [(&str, Read, &[u8]); 6] = [
        ("readline", |r| Box::pin(async { r.readline().await.unwrap() }), b"0123456789\n"),
        ("readuntil", |r| Box::pin(async { r.readuntil(b"9\n").await.unwrap() }), b"0123456789\n"),
        ("readexactly", |r| Box::pin(async { r.readexactly(15).await.unwrap() }), &TEXT[..15]),
        ("read_to_eof", |r| Box::pin(async { r.read_to_eof().await.unwrap() }), TEXT),
        ("read", |r| Box::pin(async { r.read(100).await.unwrap() }), b"0"),
        (
            "readlines",
            |r| Box::pin(async { r.readlines().next().await.unwrap().unwrap() }),
            b"0123456789\n",
        ),
    ];
    for (name, read, expected) in reads {
        // A new read after each byte, as if the one before had been cancelled there.
        let (mut reader, feeder) = StreamReader::new(100);
        let mut cx = Context::from_waker(Waker::noop());
        let mut suspended = 0;
        let mut bytes = TEXT.iter();
        let got = loop {
            if let Poll::Ready(got) = read(&mut reader).as_mut().poll(&mut cx) {
                break got;
            }
            suspended += 1;
            match bytes.next() {
                Some(byte) => feeder.feed_data(&[*byte]),
                None => feeder.feed_eof(),
            }
        };
        assert_eq!(got, expected, "{name}");
        assert!(suspended > 0, "{name}");
        assert_eq!([&got[..], bytes.as_slice()].concat(), TEXT, "{name}: all of it, once");
        assert_eq!(reader.buffered(), 0, "{name}");
    }
}
