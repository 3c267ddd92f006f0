//! Echo servers: everything that comes in goes out again, in blocks or line by line.
//!
//! Each reads up to 64 KiB at a time, ours by protocol and raw epoll up to the 256 KiB of their one buffer. All ask for
//! `TCP_NODELAY`.

mod compio;
pub mod epoll;
mod monoio;
mod ours;
mod smol;
mod tokio;

use std::io::{self, Read};
use std::{process, thread};

/// What a server with a buffer for each connection reads at most.
const BLOCK: usize = 64 * 1024;

pub fn serve(server: &str) -> Result<(), String> {
    let run: fn() -> io::Result<()> = match server {
        "protocol" => ours::protocol,
        "streams" => ours::streams,
        "streams-lines" => ours::lines,
        "tokio" => tokio::echo,
        "tokio-lines" => tokio::lines,
        "epoll" => epoll::echo,
        "smol" => smol::echo,
        "smol-lines" => smol::lines,
        "monoio" => monoio::on_uring,
        "monoio-epoll" => monoio::on_epoll,
        "compio" => compio::echo,
        _ => return Err(format!("no server {server:?}")),
    };
    // Whoever started us closes our standard input to end us.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    run().map_err(|error| format!("{server}: {error}"))
}

fn announce(port: u16) {
    println!("port {port}");
}
