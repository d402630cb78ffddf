use super::*;
use crate::{
    ErrorKind, api::SessionDefaults, driver::once::promise, model::partition::HashedDefaults,
    secret::ApiKey,
};

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

fn ledger(budget: CallBudget) -> Ledger {
    Ledger::new(budget, Duration::from_secs(20))
}

fn held(ledger: &mut Ledger, partition: &Partition, now: u64) -> u64 {
    let checked = ledger.check(partition, Purpose::Create, Duration::ZERO, at(now));
    checked
        .err()
        .and_then(|error| error.retry_after())
        .unwrap_or_default()
        .as_secs()
}

#[test]
fn failures_of_one_moment_count_once() {
    let mut ledger = ledger(CallBudget::default());
    for chain in ["near", "sui", "base", "sei"] {
        ledger.failed(
            &partition("k", chain),
            Purpose::Create,
            error(ErrorKind::Credentials, 0),
            at(100),
        );
    }
    assert_eq!(held(&mut ledger, &partition("k", "near"), 100), 30);
    ledger.failed(
        &partition("k", "near"),
        Purpose::Create,
        error(ErrorKind::Credentials, 0),
        at(131),
    );
    assert_eq!(
        held(&mut ledger, &partition("k", "near"), 131),
        60,
        "and one more in a row"
    );
}

#[test]
fn a_milder_failure_does_not_end_what_a_harder_one_began() {
    let mut ledger = ledger(CallBudget::default());
    let (one, two) = (partition("k1", "near"), partition("k2", "near"));
    ledger.failed(
        &one,
        Purpose::Create,
        error(ErrorKind::RateLimited, 60),
        at(100),
    );
    ledger.failed(
        &two,
        Purpose::Create,
        error(ErrorKind::RateLimited, 1),
        at(101),
    );
    assert_eq!(held(&mut ledger, &two, 101), 59);
    ledger.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(200));
    ledger.failed(
        &one,
        Purpose::Create,
        error(ErrorKind::Credentials, 0),
        at(201),
    );
    assert_eq!(held(&mut ledger, &one, 201), 899);
}

#[test]
fn a_success_ends_only_what_began_before_it_was_sent() {
    let mut ledger = ledger(CallBudget::default());
    let partition = partition("k", "near");
    ledger.failed(
        &partition,
        Purpose::Create,
        error(ErrorKind::Quota, 900),
        at(100),
    );
    ledger.succeeded(&partition, at(99));
    assert_eq!(held(&mut ledger, &partition, 100), 900);
    ledger.succeeded(&partition, at(101));
    assert_eq!(held(&mut ledger, &partition, 101), 0);
}

#[test]
fn one_create_tries_whether_a_keys_hold_is_over_and_the_others_wait_for_it() {
    let mut ledger = ledger(CallBudget::default());
    let (one, two) = (partition("k", "near"), partition("k", "sui"));
    ledger.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(0));
    assert!(matches!(
        ledger.clear(&one, Purpose::Create, Some(1), at(900)),
        Clearance::Granted
    ));
    assert!(matches!(
        ledger.clear(&two, Purpose::Create, Some(2), at(901)),
        Clearance::Soon
    ));
    assert!(
        ledger
            .check(&two, Purpose::Create, Duration::ZERO, at(901))
            .is_ok(),
        "it may wait"
    );
    let again = ledger.clear(&one, Purpose::Create, Some(1), at(901));
    assert!(
        matches!(again, Clearance::Granted),
        "its own try does not hold it back"
    );
    ledger.succeeded(&one, at(900));
    assert!(matches!(
        ledger.clear(&two, Purpose::Create, Some(2), at(902)),
        Clearance::Granted
    ));
}

#[test]
fn deletes_wait_for_creates_that_queue_only_where_there_is_not_enough_for_all() {
    let deletes = |queued: u64| {
        let mut ledger = ledger(CallBudget::new(60, 8).unwrap());
        for generation in 0..queued {
            let (_, outcome) = promise();
            let id = partition(&format!("q{generation}"), "near").id;
            ledger.begin(id, generation, outcome, (Place::Queue, None), at(0));
        }
        let granted = (0..8).filter(|n| {
            let partition = partition(&format!("k{n}"), "near");
            let cleared = ledger.clear(&partition, Purpose::Delete, None, at(0));
            matches!(cleared, Clearance::Granted)
        });
        let granted = granted.count();
        let own = ledger.clear(&partition("q0", "near"), Purpose::Delete, None, at(0));
        assert!(
            queued == 0 || matches!(own, Clearance::Wait(..)),
            "its floor is the create's"
        );
        let creates = (0..queued).filter(|n| {
            let partition = partition(&format!("q{n}"), "near");
            let cleared = ledger.clear(&partition, Purpose::Create, Some(*n), at(0));
            matches!(cleared, Clearance::Granted)
        });
        assert_eq!(creates.count() as u64, queued, "each has its token");
        granted
    };
    // Five of the eight are kept for creates that are yet to come; and beside those that queue, one that no check may take.
    assert_eq!([0, 1, 2, 6, 7, 8].map(deletes), [3, 3, 3, 1, 0, 0]);
}

#[test]
fn what_is_over_is_forgotten_and_what_holds_is_not() {
    let mut ledger = ledger(CallBudget::default());
    let (_, outcome) = promise();
    for n in 0..1_000 {
        let partition = partition(&format!("k{n}"), "near");
        ledger.failed(
            &partition,
            Purpose::Create,
            error(ErrorKind::Credentials, 0),
            at(0),
        );
    }
    ledger.failed(
        &partition("held", "near"),
        Purpose::Create,
        error(ErrorKind::Rejected, 0),
        at(2_000),
    );
    ledger.begin(
        partition("last", "near").id,
        1,
        outcome,
        (Place::Queue, None),
        at(2_001),
    );
    assert!(ledger.keys.is_empty());
    assert_eq!(ledger.partitions.len(), 2);
}

/// Whether a create of another key would have to wait for longer than it may.
fn is_crowded(ledger: &mut Ledger, now: u64) -> bool {
    let other = partition("another", "near");
    let checked = ledger.check(&other, Purpose::Create, Duration::ZERO, at(now));
    checked.is_err()
}

#[test]
fn whoever_ends_is_given_up_or_fenced_does_not_wait_for_a_call_any_more() {
    type End = fn(&mut Ledger, PartitionId, u64);
    let ends: [End; 3] = [
        |ledger, id, generation| {
            ledger.end(id, generation);
        },
        |ledger, id, _| {
            ledger.give_up(id);
        },
        |ledger, id, _| drop(ledger.fence(id)),
    ];
    for end in ends {
        let mut ledger = ledger(CallBudget::new(60, 3).unwrap());
        let queued: Vec<_> = (0..3)
            .map(|n| partition(&format!("q{n}"), "near"))
            .collect();
        for (generation, partition) in (1..).zip(&queued) {
            let (_, outcome) = promise();
            ledger.begin(
                partition.id,
                generation,
                outcome,
                (Place::Queue, None),
                at(0),
            );
        }
        assert!(is_crowded(&mut ledger, 1));
        end(&mut ledger, queued[0].id, 1);
        assert!(!is_crowded(&mut ledger, 1));
        // However often it is said.
        end(&mut ledger, queued[0].id, 1);
        ledger.end(queued[0].id, 1);
        ledger.end(queued[1].id, 2);
        ledger.end(queued[2].id, 3);
        for n in 0..3 {
            let partition = partition(&format!("k{n}"), "near");
            let cleared = ledger.clear(&partition, Purpose::Create, Some(9), at(1));
            assert!(matches!(cleared, Clearance::Granted), "{n}");
        }
        assert!(is_crowded(&mut ledger, 1), "the tokens are gone");
    }
}

#[test]
fn a_create_counts_as_overdue_from_its_first_call_on_and_not_from_anothers() {
    let mut ledger = ledger(CallBudget::default());
    let (_, outcome) = promise();
    let id = partition("k", "near").id;
    ledger.begin(id, 2, outcome, (Place::Queue, None), at(10));
    let begun = |ledger: &Ledger| ledger.flight(id).map(|flight| flight.begun);
    // An earlier create of this partition was fenced, and its task has not heard of that.
    ledger.leave_queue(id, 1, at(15));
    assert_eq!(begun(&ledger), Some(at(10)));
    ledger.leave_queue(id, 2, at(18));
    assert_eq!(begun(&ledger), Some(at(18)));
}

#[test]
fn tidying_up_is_paid_for_by_what_was_added_since_where_there_are_many_keys() {
    let mut ledger = ledger(CallBudget::default());
    let refuse = |ledger: &mut Ledger, range: std::ops::Range<u32>, now| {
        for n in range {
            let error = error(ErrorKind::Credentials, 0);
            let partition = partition(&format!("k{n}"), "near");
            ledger.failed(&partition, Purpose::Create, error, at(now));
        }
    };
    let begin = |ledger: &mut Ledger, generation, now| {
        let (_, outcome) = promise();
        let id = partition("last", "near").id;
        ledger.begin(id, generation, outcome, (Place::Queue, None), at(now));
    };
    refuse(&mut ledger, 0..100, 0);
    begin(&mut ledger, 1, 1);
    assert_eq!(ledger.keys.len(), 100, "they hold");
    refuse(&mut ledger, 100..150, 10_000);
    begin(&mut ledger, 2, 10_000);
    assert_eq!(ledger.keys.len(), 150, "not yet");
    refuse(&mut ledger, 150..250, 10_000);
    begin(&mut ledger, 3, 10_000);
    assert_eq!(ledger.keys.len(), 150, "the first hundred are forgotten");
}

#[test]
fn a_try_that_says_nothing_of_the_key_holds_up_no_other() {
    let mut ledger = ledger(CallBudget::default());
    let (one, two) = (partition("k", "near"), partition("k", "sui"));
    ledger.failed(&one, Purpose::Create, error(ErrorKind::Quota, 900), at(0));
    let mut granted = |partition, generation, now| {
        let cleared = ledger.clear(partition, Purpose::Create, Some(generation), at(now));
        if generation == 1 {
            ledger.failed(
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
    let mut ledger = ledger(CallBudget::new(60, 40).unwrap());
    let name = |n: u64| partition(&format!("k{n}"), "near");
    let begin = |ledger: &mut Ledger, n: u64| {
        let (_, outcome) = promise();
        ledger.begin(name(n).id, n, outcome, (Place::Store, None), at(1));
    };
    let is_crowded = |ledger: &mut Ledger, n: u64| {
        let crowded = ledger.is_crowded(name(n).id, Duration::ZERO, at(1));
        crowded.map_err(|error| error.kind())
    };
    for n in 0..100 {
        let error = Error::new(ErrorKind::Store, "the store cannot be reached");
        ledger.note_store_error(name(n).id, &error, at(0));
    }
    for n in 0..20 {
        assert_eq!(is_crowded(&mut ledger, n), Ok(false), "{n}");
        begin(&mut ledger, n);
    }
    assert_eq!(is_crowded(&mut ledger, 20), Err(ErrorKind::Store));
    for n in 200..220 {
        assert_eq!(is_crowded(&mut ledger, n), Ok(false), "{n}");
        begin(&mut ledger, n);
    }
    assert_eq!(is_crowded(&mut ledger, 220), Ok(true));
    // One that has ended leaves its place, whichever it had.
    ledger.end(name(0).id, 0);
    assert_eq!(is_crowded(&mut ledger, 220), Ok(false));
    assert_eq!(is_crowded(&mut ledger, 20), Ok(false));
}

#[test]
fn a_delete_takes_no_token_that_a_create_needs_after_its_pause() {
    let mut ledger = ledger(CallBudget::new(60, 1).unwrap());
    let (one, other) = (partition("k", "near"), partition("k", "sui"));
    let clear = |ledger: &mut Ledger, partition, purpose, now| {
        let create = (purpose == Purpose::Create).then_some(1);
        let cleared = ledger.clear(partition, purpose, create, at(now));
        matches!(cleared, Clearance::Granted)
    };
    assert!(clear(&mut ledger, &one, Purpose::Create, 0));
    ledger.begin_pause(1, at(0));
    assert!(!clear(&mut ledger, &other, Purpose::Delete, 1));
    assert!(clear(&mut ledger, &one, Purpose::Create, 1));
    ledger.end_pause(1);
    assert!(clear(&mut ledger, &other, Purpose::Delete, 2));
    // One that has ended in its pause waits for nothing.
    ledger.begin_pause(1, at(2));
    ledger.end(one.id, 1);
    assert_eq!(ledger.before_deletes(at(2)), 0);
}

#[test]
fn a_token_is_kept_for_a_new_key_that_waits_also_between_two_of_its_calls() {
    let mut ledger = ledger(CallBudget::new(60, 2).unwrap());
    let known = |n: u64| partition("known", &format!("c{n}"));
    ledger.known_keys.accept(known(0).key_id, at(0));
    let new = partition("new", "near");
    let clear = |ledger: &mut Ledger, partition: &Partition, create, now| {
        let cleared = ledger.clear(partition, Purpose::Create, Some(create), at(now));
        matches!(cleared, Clearance::Granted)
    };
    assert!(clear(&mut ledger, &known(1), 1, 0) && clear(&mut ledger, &known(2), 2, 0));
    // It is in no queue: it was called before, and failed.
    assert!(!clear(&mut ledger, &new, 9, 0));
    assert!(!clear(&mut ledger, &known(3), 3, 1));
    assert!(clear(&mut ledger, &new, 9, 1));
    assert!(clear(&mut ledger, &known(3), 3, 2));
    // Accepted meanwhile, it is one of the others.
    assert!(!clear(&mut ledger, &new, 9, 2));
    ledger.succeeded(&new, at(2));
    assert!(clear(&mut ledger, &new, 9, 3));
    assert_eq!(ledger.behind.len(at(3)), 0);
}
