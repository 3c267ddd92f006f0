//! The tests of the queue crate on a `block_on` that is nothing but that.

mod stories;
mod suite;

mod driver {
    pub(crate) use pollster::block_on;
}

#[test]
fn the_tools_work_together_on_a_plain_block_on() {
    pollster::block_on(stories::all_in_one_task());
}
