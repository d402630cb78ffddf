use super::*;
use crate::{ErrorKind, api::SessionDefaults, model::partition::HashedDefaults, secret::ApiKey};

fn at(seconds: u64) -> Reading {
    let time = Duration::from_secs(seconds);
    Reading {
        monotonic: time,
        wall: time,
    }
}

fn partition(key: &str, chain: &str) -> Arc<Partition> {
    let defaults = SessionDefaults::new().chain(chain.into());
    Partition::new(ApiKey::from(key), &HashedDefaults::new(defaults)).unwrap()
}

fn error(kind: ErrorKind, hint: u64) -> Error {
    Error::new(kind, "").with_retry_after(Duration::from_secs(hint))
}

fn gate(budget: CallBudget) -> Gate<()> {
    Gate::new(budget, Duration::from_secs(20))
}

fn held(gate: &mut Gate<()>, partition: &Partition, now: u64) -> u64 {
    let checked = gate.check(partition, Purpose::Create, Duration::ZERO, at(now));
    checked
        .err()
        .and_then(|error| error.retry_after())
        .unwrap_or_default()
        .as_secs()
}

#[test]
fn failures_of_one_moment_count_once() {
    let mut gate = gate(CallBudget::default());
    for chain in ["near", "sui", "base", "sei"] {
        gate.failed(
            &partition("k", chain),
            Purpose::Create,
            error(ErrorKind::Credentials, 0),
            at(100),
        );
    }
    assert_eq!(held(&mut gate, &partition("k", "near"), 100), 30);
    gate.failed(
        &partition("k", "near"),
        Purpose::Create,
        error(ErrorKind::Credentials, 0),
        at(131),
    );
    assert_eq!(
        held(&mut gate, &partition("k", "near"), 131),
        60,
        "and one more in a row"
    );
}

#[test]
fn a_milder_failure_does_not_end_what_a_harder_one_began() {
    let mut gate = gate(CallBudget::default());
    let (one, two) = (partition("k1", "near"), partition("k2", "near"));
    gate.failed(
        &one,
        Purpose::Create,
        error(ErrorKind::RateLimited, 60),
        at(100),
    );
    gate.failed(
        &two,
        Purpose::Create,
        error(ErrorKind::RateLimited, 1),
        at(101),
    );
    assert_eq!(held(&mut gate, &two, 101), 59);
    gate.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(200));
    gate.failed(
        &one,
        Purpose::Create,
        error(ErrorKind::Credentials, 0),
        at(201),
    );
    assert_eq!(held(&mut gate, &one, 201), 899);
}

#[test]
fn a_success_ends_only_what_began_before_it_was_sent() {
    let mut gate = gate(CallBudget::default());
    let partition = partition("k", "near");
    gate.failed(
        &partition,
        Purpose::Create,
        error(ErrorKind::Quota, 900),
        at(100),
    );
    gate.succeeded(&partition, at(99));
    assert_eq!(held(&mut gate, &partition, 100), 900);
    gate.succeeded(&partition, at(101));
    assert_eq!(held(&mut gate, &partition, 101), 0);
}

#[test]
fn one_create_tries_whether_a_keys_hold_is_over_and_the_others_wait_for_it() {
    let mut gate = gate(CallBudget::default());
    let (one, two) = (partition("k", "near"), partition("k", "sui"));
    gate.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(0));
    assert!(matches!(
        gate.clear(&one, Purpose::Create, Some(1), at(900)),
        Clearance::Granted
    ));
    assert!(matches!(
        gate.clear(&two, Purpose::Create, Some(2), at(901)),
        Clearance::Soon
    ));
    assert!(
        gate.check(&two, Purpose::Create, Duration::ZERO, at(901))
            .is_ok(),
        "it may wait"
    );
    let again = gate.clear(&one, Purpose::Create, Some(1), at(901));
    assert!(
        matches!(again, Clearance::Granted),
        "its own try does not hold it back"
    );
    gate.succeeded(&one, at(900));
    assert!(matches!(
        gate.clear(&two, Purpose::Create, Some(2), at(902)),
        Clearance::Granted
    ));
}

#[test]
fn deletes_wait_for_creates_that_queue_only_where_there_is_not_enough_for_all() {
    let deletes = |queued: u64| {
        let mut gate = gate(CallBudget::new(60, 8).unwrap());
        for generation in 0..queued {
            let id = partition(&format!("q{generation}"), "near").id;
            gate.begin(id, generation, (), Place::Queue, at(0));
        }
        let granted = (0..8).filter(|n| {
            let partition = partition(&format!("k{n}"), "near");
            let cleared = gate.clear(&partition, Purpose::Delete, None, at(0));
            matches!(cleared, Clearance::Granted)
        });
        let granted = granted.count();
        let own = gate.clear(&partition("q0", "near"), Purpose::Delete, None, at(0));
        assert!(
            queued == 0 || matches!(own, Clearance::Wait(..)),
            "its floor is the create's"
        );
        let creates = (0..queued).filter(|n| {
            let partition = partition(&format!("q{n}"), "near");
            let cleared = gate.clear(&partition, Purpose::Create, Some(*n), at(0));
            matches!(cleared, Clearance::Granted)
        });
        assert_eq!(creates.count() as u64, queued, "each has its token");
        granted
    };
    // Deletes leave five of the eight tokens to later creates. If creates are queued, they leave one more, which checks
    // may not take either.
    assert_eq!([0, 1, 2, 6, 7, 8].map(deletes), [3, 3, 3, 1, 0, 0]);
}

#[test]
fn what_is_over_is_forgotten_and_what_holds_is_not() {
    let mut gate = gate(CallBudget::default());
    for n in 0..1_000 {
        let partition = partition(&format!("k{n}"), "near");
        gate.failed(
            &partition,
            Purpose::Create,
            error(ErrorKind::Credentials, 0),
            at(0),
        );
    }
    gate.failed(
        &partition("held", "near"),
        Purpose::Create,
        error(ErrorKind::Rejected, 0),
        at(2_000),
    );
    gate.begin(partition("last", "near").id, 1, (), Place::Queue, at(2_001));
    assert!(gate.keys.is_empty());
    assert_eq!(gate.partitions.len(), 2);
}

/// Returns whether a create of another key would have to wait longer than its patience allows.
fn is_crowded(gate: &mut Gate<()>, now: u64) -> bool {
    let other = partition("another", "near");
    let checked = gate.check(&other, Purpose::Create, Duration::ZERO, at(now));
    checked.is_err()
}

#[test]
fn whoever_ends_is_given_up_or_fenced_does_not_wait_for_a_call_any_more() {
    type End = fn(&mut Gate<()>, PartitionId, u64);
    let ends: [End; 3] = [
        |gate, id, generation| {
            gate.end(id, generation);
        },
        |gate, id, _| {
            gate.give_up(id);
        },
        |gate, id, _| drop(gate.fence(id)),
    ];
    for end in ends {
        let mut gate = gate(CallBudget::new(60, 3).unwrap());
        let queued: Vec<_> = (0..3)
            .map(|n| partition(&format!("q{n}"), "near"))
            .collect();
        for (generation, partition) in (1..).zip(&queued) {
            gate.begin(partition.id, generation, (), Place::Queue, at(0));
        }
        assert!(is_crowded(&mut gate, 1));
        end(&mut gate, queued[0].id, 1);
        assert!(!is_crowded(&mut gate, 1));
        // Ending a create twice changes nothing.
        end(&mut gate, queued[0].id, 1);
        gate.end(queued[0].id, 1);
        gate.end(queued[1].id, 2);
        gate.end(queued[2].id, 3);
        for n in 0..3 {
            let partition = partition(&format!("k{n}"), "near");
            let cleared = gate.clear(&partition, Purpose::Create, Some(9), at(1));
            assert!(matches!(cleared, Clearance::Granted), "{n}");
        }
        assert!(is_crowded(&mut gate, 1), "the tokens are gone");
    }
}

#[test]
fn a_create_is_overdue_by_its_own_first_call_and_not_by_that_of_another() {
    let mut gate = gate(CallBudget::default());
    let id = partition("k", "near").id;
    gate.begin(id, 2, (), Place::Queue, at(10));
    let begun = |gate: &Gate<()>| gate.flight(id).map(|flight| flight.begun);
    // An earlier create of this partition was fenced off, but its task does not know yet.
    gate.leave_queue(id, 1, at(15));
    assert_eq!(begun(&gate), Some(at(10)));
    gate.leave_queue(id, 2, at(18));
    assert_eq!(begun(&gate), Some(at(18)));
}

#[test]
fn tidying_up_is_paid_for_by_what_was_added_since_where_there_are_many_keys() {
    let mut gate = gate(CallBudget::default());
    let refuse = |gate: &mut Gate<()>, range: std::ops::Range<u32>, now| {
        for n in range {
            let error = error(ErrorKind::Credentials, 0);
            let partition = partition(&format!("k{n}"), "near");
            gate.failed(&partition, Purpose::Create, error, at(now));
        }
    };
    let begin = |gate: &mut Gate<()>, generation, now| {
        let id = partition("last", "near").id;
        gate.begin(id, generation, (), Place::Queue, at(now));
    };
    refuse(&mut gate, 0..100, 0);
    begin(&mut gate, 1, 1);
    assert_eq!(gate.keys.len(), 100, "they hold");
    refuse(&mut gate, 100..150, 10_000);
    begin(&mut gate, 2, 10_000);
    assert_eq!(gate.keys.len(), 150, "not yet");
    refuse(&mut gate, 150..250, 10_000);
    begin(&mut gate, 3, 10_000);
    assert_eq!(gate.keys.len(), 150, "the first hundred are forgotten");
}

#[test]
fn a_try_that_says_nothing_of_the_key_holds_up_no_other() {
    let mut gate = gate(CallBudget::default());
    let (one, two) = (partition("k", "near"), partition("k", "sui"));
    gate.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(0));
    let mut granted = |partition, generation, now| {
        let cleared = gate.clear(partition, Purpose::Create, Some(generation), at(now));
        if generation == 1 {
            gate.failed(
                &one,
                Purpose::Create,
                error(ErrorKind::Unavailable, 0),
                at(now),
            );
        }
        matches!(cleared, Clearance::Granted)
    };
    assert!(granted(&one, 1, 900));
    assert!(granted(&two, 2, 901), "the try is over");
}

#[test]
fn creates_that_could_not_reach_the_store_leave_half_of_the_places_to_others() {
    let mut gate = gate(CallBudget::new(60, 40).unwrap());
    let name = |n: u64| partition(&format!("k{n}"), "near");
    let begin = |gate: &mut Gate<()>, n: u64| {
        gate.begin(name(n).id, n, (), Place::Store, at(1));
    };
    let is_crowded = |gate: &mut Gate<()>, n: u64| {
        let crowded = gate.is_crowded(name(n).id, Duration::ZERO, at(1));
        crowded.map_err(|error| error.kind())
    };
    for n in 0..100 {
        let error = Error::new(ErrorKind::Store, "the store cannot be reached");
        gate.note_store_error(name(n).id, &error, at(0));
    }
    for n in 0..20 {
        assert_eq!(is_crowded(&mut gate, n), Ok(false), "{n}");
        begin(&mut gate, n);
    }
    assert_eq!(is_crowded(&mut gate, 20), Err(ErrorKind::Store));
    for n in 200..220 {
        assert_eq!(is_crowded(&mut gate, n), Ok(false), "{n}");
        begin(&mut gate, n);
    }
    assert_eq!(is_crowded(&mut gate, 220), Ok(true));
    // A create that ends gives up its place, whichever queue it is in.
    gate.end(name(0).id, 0);
    assert_eq!(is_crowded(&mut gate, 220), Ok(false));
    assert_eq!(is_crowded(&mut gate, 20), Ok(false));
}

#[test]
fn a_delete_takes_no_token_that_a_create_needs_after_its_pause() {
    let mut gate = gate(CallBudget::new(60, 1).unwrap());
    let (one, other) = (partition("k", "near"), partition("k", "sui"));
    let clear = |gate: &mut Gate<()>, partition, purpose, now| {
        let create = (purpose == Purpose::Create).then_some(1);
        let cleared = gate.clear(partition, purpose, create, at(now));
        matches!(cleared, Clearance::Granted)
    };
    assert!(clear(&mut gate, &one, Purpose::Create, 0));
    gate.begin_pause(1, at(0));
    assert!(!clear(&mut gate, &other, Purpose::Delete, 1));
    assert!(clear(&mut gate, &one, Purpose::Create, 1));
    gate.end_pause(1);
    assert!(clear(&mut gate, &other, Purpose::Delete, 2));
    // A create that ends during its pause needs no token any more.
    gate.begin_pause(1, at(2));
    gate.end(one.id, 1);
    assert_eq!(gate.before_deletes(at(2)), 0);
}

#[test]
fn a_token_is_kept_for_a_new_key_that_waits_also_between_two_of_its_calls() {
    let mut gate = gate(CallBudget::new(60, 2).unwrap());
    let known = |n: u64| partition("known", &format!("c{n}"));
    gate.known_keys.accept(known(0).key_id, at(0));
    let new = partition("new", "near");
    let clear = |gate: &mut Gate<()>, partition: &Partition, create, now| {
        let cleared = gate.clear(partition, Purpose::Create, Some(create), at(now));
        matches!(cleared, Clearance::Granted)
    };
    assert!(clear(&mut gate, &known(1), 1, 0) && clear(&mut gate, &known(2), 2, 0));
    // The create of the new key is in no queue, because its first call was made and failed.
    assert!(!clear(&mut gate, &new, 9, 0));
    assert!(!clear(&mut gate, &known(3), 3, 1));
    assert!(clear(&mut gate, &new, 9, 1));
    assert!(clear(&mut gate, &known(3), 3, 2));
    // Once its key is accepted, the create ranks with the other accepted keys.
    assert!(!clear(&mut gate, &new, 9, 2));
    gate.succeeded(&new, at(2));
    assert!(clear(&mut gate, &new, 9, 3));
    assert_eq!(gate.behind.len(at(3)), 0);
}
