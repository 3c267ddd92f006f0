//! A code search service through all nine tiers: a subprocess lists the files, threads read them, SQLite keeps their words,
//! two servers answer, and a hundred clients check the answers.

#![allow(missing_docs, unreachable_pub, reason = "a program exports nothing")]

mod clients;
mod database;
mod index;
mod meters;
mod service;

use std::{path::PathBuf, process::ExitCode, rc::Rc, time::Duration};

use anyhow::{Result, ensure};
use asyncio::protocol::create_server;
use asyncio::{Exit, start_server, with};

use crate::{database::Database, meters::Meters, service::Service, service::get_stats};

xflags::xflags! {
    /// Searches the files of a directory.
    cmd codesearch {
        /// What to search (default: this repository).
        optional dir: PathBuf
        /// Keep the index there (default: in memory).
        optional --db file: PathBuf
        /// Serve SEARCH words, STATS and QUIT there (default: a free port).
        optional --port number: u16
        /// Serve GET /stats there (default: a free port).
        optional --stats-port number: u16
        /// Serve until Ctrl-C instead of running the clients.
        optional --serve
    }
}

fn main() -> Exit {
    let options = Codesearch::from_env_or_exit();
    let program = async {
        let Err(error) = program(options).await else { return ExitCode::SUCCESS };
        eprintln!("codesearch: {error:#}");
        ExitCode::FAILURE
    };
    asyncio::run(program).into()
}

async fn program(options: Codesearch) -> Result<()> {
    let dir = options.dir.unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../..").into());
    ensure!(dir.is_dir(), "{} is not a directory", dir.display());
    let (database, meters) = (Database::open(options.db)?, Meters::default());
    let service = Rc::new(Service { database, meters });
    let words = index::index(&service, &dir).await?;

    let (for_lines, for_stats) = (service.clone(), service.clone());
    let talk = async move |reader, writer| for_lines.talk(reader, writer).await;
    let lines = start_server(talk, HERE, options.port.unwrap_or(0)).await?;
    let http = move || get_stats(for_stats.clone());
    let stats = create_server(http, HERE, options.stats_port.unwrap_or(0)).await?;
    let ports = [&lines, &stats].map(|server| server.local_addrs()[0].port());
    println!("searches on {HERE}:{}, GET /stats on {HERE}:{}", ports[0], ports[1]);

    // However it ends, Ctrl-C included: nobody is let in any more, and everybody gets an answer.
    let served = with(
        [lines, stats],
        async |_| match options.serve {
            true => std::future::pending().await, // until Ctrl-C
            false => clients::run(&service, &words, ports).await,
        },
        async |servers| {
            for server in servers {
                server.graceful(Duration::from_secs(5)).await;
            }
        },
    );
    served.await?;
    service.meters.print();
    Ok(())
}

const HERE: &str = "127.0.0.1";
