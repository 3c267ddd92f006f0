//! Random programs do, event by event, what a model written as plain recursion says.
//!
//! A failure prints the smallest program found that still fails, with both logs. `ASYNCIO_CASES` sets how many programs are
//! tried, `ASYNCIO_SEED` the seed of the first.

mod programs;

use std::panic::{AssertUnwindSafe, catch_unwind};

use programs::program::{Generator, Program};
use programs::{Outcome, model, real};

const CASES: u64 = if cfg!(miri) { 20 } else { 10_000 };

#[test]
fn random_programs_do_what_a_recursive_model_says() {
    let (first, cases) = (number("ASYNCIO_SEED", 0), number("ASYNCIO_CASES", CASES));
    let mut compared = 0;
    for seed in first..first + cases {
        let program = Generator::new(seed).program();
        match differs(&program) {
            None => {}
            Some(false) => compared += 1,
            Some(true) => fail(seed, program),
        }
    }
    assert!(compared * 100 > cases * 97, "only {compared} of {cases} could be compared");
}

/// Whether the run differs from the prediction; `None` if there is none.
fn differs(program: &Program) -> Option<bool> {
    let predicted = model::predict(program)?;
    Some(run(program) != Ok(predicted))
}

fn run(program: &Program) -> Result<Outcome, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| asyncio_loop::testing::run(real::run(program))));
    match ran {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(payload) => Err(format!("panicked: {:?}", payload.downcast_ref::<String>())),
    }
}

fn fail(seed: u64, mut program: Program) -> ! {
    while let Some(smaller) = program.shrunk().into_iter().find(|one| differs(one) == Some(true)) {
        program = smaller;
    }
    let predicted = model::predict(&program).expect("it was compared");
    let difference = match run(&program) {
        Ok(ran) => difference(&predicted, &ran),
        Err(error) => error,
    };
    panic!("seed {seed} differs; its smallest part:\n{program:#?}\n{difference}");
}

/// The strands that differ, event by event.
fn difference(predicted: &Outcome, ran: &Outcome) -> String {
    let mut text = format!("predicted {:?}, ran {:?}\n", predicted.ended, ran.ended);
    for strand in predicted.log.keys().chain(ran.log.keys()) {
        if predicted.log.get(strand) != ran.log.get(strand) {
            for (who, log) in [("predicted", &predicted.log), ("ran", &ran.log)] {
                text += &format!("strand {strand}, {who}:\n");
                for (time, event) in log.get(strand).into_iter().flatten() {
                    text += &format!("  {time:>9} {event:?}\n");
                }
            }
        }
    }
    text
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
