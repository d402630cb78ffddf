//! Tests of calls that take long.

use super::*;

/// The create took 9 s, and the server read its clock at an unknown moment of them.
#[test]
fn a_create_that_took_long_does_not_set_the_servers_clock() {
    let mut evidence = begun();
    let slow = Exchange {
        sent: at(101_000),
        received: at(110_000),
    };
    evidence.see_clock(server(101_010), slow);
    ask(&mut evidence, 1, 112_000, 50_000);
    assert_eq!(
        evidence.judge(&made(100_000, 112_100), 1),
        Some(Fate::Alive)
    );
}

/// The window of the slow create is not confirmed, so no later answer in it would prove anything.
#[test]
fn after_a_first_create_that_took_long_the_server_is_asked() {
    for (took, expected) in [(1_000, Reaction::Nothing), (1_001, Reaction::Ask)] {
        let mut evidence = Evidence::new(VERIFY_AFTER);
        let slow = Exchange {
            sent: at(100_000),
            received: at(100_000 + took),
        };
        let reaction = evidence.created(Some(stamp(97, 60)), slow, true);
        assert_eq!(reaction, expected, "{took} ms");
    }
}
