//! What a task may do about requests.

use asyncio::{catch_cancel, create_task, current_task, sleep, timeout};

use crate::twin::{FOR_EVER, ended, py, same, units};

#[test]
fn requests_are_caught_counted_and_taken_back_as_in_cpython() {
    same(include_str!("../../parity/uncancel.log"), |log, _, _| async move {
        let task = create_task({
            let log = log.clone();
            async move {
                let me = current_task().unwrap();
                for n in 0..2 {
                    if catch_cancel(sleep(FOR_EVER)).await.is_err() {
                        log.line(format!("caught, cancelling: {}", me.cancelling()));
                        if n == 0 {
                            log.line(format!("uncancel: {}", me.uncancel()));
                        }
                    }
                }
                sleep(units(1)).await;
                log.line(format!("goes on, cancelling: {}", me.cancelling()));
                "a value"
            }
        });
        sleep(units(1)).await;
        log.line(format!("first request: {}", py(task.cancel())));
        sleep(units(1)).await;
        let (second, third) = (py(task.cancel()), py(task.cancel()));
        let cancelling = task.cancelling();
        log.line(format!("second request: {second}, third: {third}, cancelling: {cancelling}"));
        let task = ended(task).await;
        let (cancelled, cancelling) = (py(task.cancelled()), task.cancelling());
        let (again, left) = (py(task.cancel()), task.uncancel());
        let value = task.await.unwrap();
        log.line(format!("gives {value}, cancelled: {cancelled}, cancelling: {cancelling}"));
        log.line(format!("cancel when done: {again}, uncancel: {left}"));

        let task = create_task({
            let log = log.clone();
            async move {
                if timeout(units(5), sleep(FOR_EVER)).await.is_err() {
                    let me = current_task().unwrap();
                    log.line(format!("timed out, cancelling: {}", me.cancelling()));
                }
                sleep(FOR_EVER).await;
            }
        });
        sleep(units(6)).await;
        task.cancel();
        let task = ended(task).await;
        let (cancelled, cancelling) = (py(task.cancelled()), task.cancelling());
        log.line(format!("cancelled: {cancelled}, cancelling: {cancelling}"));
    });
}
