//! Tests of attempts and the gate without a driver: in every order of events, and in long random runs.

mod books;
mod came;
mod lives;
mod search;
mod table;
mod world;

use super::*;

/// A check uses up nearly all of its time and finds the session lost. The create that follows gets a fresh time limit.
#[test]
fn a_session_that_turns_out_to_be_lost_at_the_last_moment_is_replaced_all_the_same() {
    let setting = world::Setting::new(3, false, false, false);
    let mut world = world::World::new(&setting, 0);
    world.current[0] = Some(1);
    world.apply(world::Happening::Needed(0));
    let attempt = *world.flying.keys().next().unwrap();
    world.apply(world::Happening::Passes(19_900));
    for came in [
        came::Came::Gone,
        came::Came::Due,
        came::Came::Made,
        came::Came::Accepted,
    ] {
        world.apply(world::Happening::Comes(attempt, came));
    }
    assert!(world.flying.is_empty(), "{:?}", world.flying);
    assert!(world.current[0] > Some(1), "{:?}", world.current);
}
