//! What a program without a logger hears of what went wrong with nobody there to be told.

use std::env;
use std::process::Command;
use std::time::Duration;

use asyncio::{create_task, run, sleep, try_finally, yield_now};

#[test]
fn what_nobody_awaits_is_told_on_standard_error_where_there_is_no_logger() {
    const NAME: &str = "what_nobody_awaits_is_told_on_standard_error_where_there_is_no_logger";
    if env::var_os("IS_THE_PROGRAM").is_some() {
        return program();
    }
    let mut program = Command::new(env::current_exe().unwrap());
    program.env("IS_THE_PROGRAM", "1").args(["--exact", NAME, "--nocapture"]);
    let output = program.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let panicked = told.split_once("task panicked and nobody awaits it").expect("the panic").1;
    assert!(panicked.starts_with("\ntask: Task-"), "{told}");
    assert!(panicked.contains("reports.rs:") && panicked.contains("panic: boom"), "{told}");
    assert!(told.contains("was cut short"), "the cleanup that never ends: {told}");
}

fn program() {
    std::panic::set_hook(Box::new(|_| ()));
    run(async {
        drop(create_task(async { panic!("boom") }));
        let stubborn = create_task(try_finally(std::future::pending::<()>(), async || {
            sleep(Duration::from_secs(3600)).await;
        }));
        yield_now().await;
        stubborn.cancel();
        yield_now().await;
        stubborn.cancel();
        assert!(stubborn.await.unwrap_err().is_cancelled());
    })
    .unwrap();
}
