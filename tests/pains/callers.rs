//! Many callers share one create.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use sipher_session::{
    ErrorKind, OnNoSession,
    testing::{Fault, Target, Tier, What},
};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};
use tower::ServiceExt;

use crate::{
    call_as, failures,
    support::{SECOND, Setup, generate, ours, pass},
};

/// Polls a future this many times, and then drops it.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Pain 3: the first caller made the call for everyone. When its request was cancelled, every request failed.
#[tokio::test(start_paused = true)]
async fn the_first_caller_may_be_dropped_at_any_await_point() {
    let mut points = 0;
    loop {
        let setup = Setup::new();
        setup.sipher.set_latency(SECOND);
        setup
            .sipher
            .fault(Fault::new(What::Status(500)).on(Target::Create));
        let manager = setup.manager();
        let first = setup.service(&manager).oneshot(generate());
        let first = tokio::spawn(polled(first, points));
        yield_now().await;
        let answer = setup.call(&manager).await;
        assert_eq!(
            answer.unwrap().status(),
            200,
            "dropped after {points} polls"
        );
        assert_eq!(
            setup.creates(),
            2,
            "the one that failed and the one that did not"
        );
        if first.await.unwrap().is_some() {
            break;
        }
        points += 1;
    }
    assert!(points >= 2, "{points}");
}

/// Pain 3, by the clock: the caller gives up at any moment of a create that is slow and fails once.
#[tokio::test(start_paused = true)]
async fn the_first_caller_may_have_a_deadline_at_any_moment() {
    for deadline in (0..4_000).step_by(50).map(Duration::from_millis) {
        let setup = Setup::new();
        setup.sipher.set_latency(SECOND);
        setup
            .sipher
            .fault(Fault::new(What::Status(500)).on(Target::Create));
        let manager = setup.manager();
        let first = timeout(deadline, setup.service(&manager).oneshot(generate()));
        let first = tokio::spawn(first);
        yield_now().await;
        assert_eq!(
            setup.call(&manager).await.unwrap().status(),
            200,
            "{deadline:?}"
        );
        drop(first.await.unwrap());
        assert_eq!(setup.creates(), 2, "{deadline:?}");
        let report = manager.shutdown(30 * SECOND).await;
        assert_eq!(
            (report.deleted, report.possible_orphans),
            (1, 0),
            "{deadline:?}"
        );
    }
}

/// Pain 4: a cache let one caller run the fetch inside of the cache. After some two hundred such callers had been
/// aborted, the cache panicked in the callers that waited.
#[tokio::test(start_paused = true)]
async fn three_hundred_leaders_aborted_one_after_the_other_cost_nobody_anything() {
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let call = || setup.service(&manager).oneshot(generate());
    let mut followers = JoinSet::new();
    for _ in 0..300 {
        let leader = tokio::spawn(call());
        yield_now().await;
        followers.spawn(call());
        yield_now().await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
    }
    for answer in followers.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!((setup.creates(), setup.uses().len()), (1, 300));
}

/// Pain 4: a first caller whose future was kept but not polled blocked everyone. And a cache was never filled if its
/// callers gave up sooner than the fetch ended.
#[tokio::test(start_paused = true)]
async fn a_leader_that_nobody_polls_and_followers_without_patience_do_not_keep_the_create_from_ending()
 {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(10 * SECOND)).on(Target::Create));
    let manager = setup.manager();
    let mut leader = pin!(setup.service(&manager).oneshot(generate()));
    poll_fn(|cx| {
        assert!(leader.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    for _ in 0..99 {
        let hasty = timeout(Duration::from_millis(100), setup.call(&manager)).await;
        assert!(hasty.is_err());
    }
    pass(0.2).await;
    let start = Instant::now();
    setup.call(&manager).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO, "it is there");
    assert_eq!(setup.creates(), 1);
    leader.await.unwrap();
}

/// Pain 10: each caller that waited for a failed fetch made the fetch again, one after the other.
#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_failure_and_so_do_those_who_come_right_after() {
    for what in failures() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        setup.sipher.set_latency(Duration::from_millis(900));
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Create).always());
        let manager = setup
            .builder()
            .create_timeout(SECOND)
            .max_wait(SECOND)
            .build()
            .unwrap();
        let mut made = 0;
        for waits in [true, false] {
            let start = Instant::now();
            let mut callers = JoinSet::new();
            for _ in 0..1_000 {
                callers.spawn(setup.service(&manager).oneshot(generate()));
            }
            for answer in callers.join_all().await {
                assert!(answer.is_err(), "{name}");
            }
            let limit = if waits { SECOND } else { Duration::ZERO };
            assert!(start.elapsed() <= limit, "{name}");
            // A failure that comes at once is retried within the one second that a create has. The floor between calls allows five tries.
            made = if waits { setup.creates() } else { made };
            assert!((1..=5).contains(&made), "{name}: {made}");
            assert_eq!(setup.creates(), made, "{name}");
        }
    }
}

/// Pain 11: callers hung for as long as the source of the credentials did. A timeout that suited the callers was too
/// short for a source that is merely slow.
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_holds_each_caller_for_max_wait_and_nobody_for_ever() {
    for what in [What::Hang, What::HangAnswer, What::Delay(3_600 * SECOND)] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        setup.sipher.fault(Fault::new(what).on(Target::Create));
        let manager = setup.builder().max_wait(3 * SECOND).build().unwrap();
        let other = setup.sipher.api_key(Tier::Pro);
        let mut callers = JoinSet::new();
        let start = Instant::now();
        for arrival in 0..30 {
            let call = setup.service(&manager).oneshot(generate());
            callers.spawn(async move {
                let start = Instant::now();
                let answer = call.await.map(drop).map_err(|error| ours(&error).kind());
                (arrival, answer, start.elapsed())
            });
            if arrival > 0 {
                let before = Instant::now();
                call_as(&setup, &manager, &other).await.unwrap();
                assert_eq!(
                    before.elapsed(),
                    Duration::ZERO,
                    "{name}: another key's hang is not ours"
                );
            }
            pass(1.0).await;
        }
        for (arrival, answer, waited) in callers.join_all().await {
            assert!(waited <= 3 * SECOND, "{name}: {waited:?}");
            match arrival {
                0..=17 => assert_eq!(
                    (answer, waited),
                    (Err(ErrorKind::Timeout), 3 * SECOND),
                    "{name}"
                ),
                // The create's own deadline of 20 s ends it, and the next one is due a second later.
                22.. => assert_eq!(answer, Ok(()), "{name}: {arrival}"),
                _ => {}
            }
        }
        assert!(start.elapsed() < 40 * SECOND);
        assert_eq!(
            setup.creates(),
            3,
            "{name}: the one that hung, the next, the other key's"
        );
    }
}

/// Pain 11: what a request does after `max_wait` is its owner's choice.
#[tokio::test(start_paused = true)]
async fn a_merely_slow_source_is_waited_for_once_and_who_may_go_without_goes_after_max_wait() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(19 * SECOND)).on(Target::Create));
    let manager = setup
        .builder()
        .max_wait(3 * SECOND)
        .on_no_session(OnNoSession::SendWithout)
        .build()
        .unwrap();
    let start = Instant::now();
    for _ in 0..6 {
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_id(), None);
    }
    assert_eq!(start.elapsed(), 18 * SECOND);
    setup.call(&manager).await.unwrap();
    assert_eq!(start.elapsed(), 19 * SECOND, "it came");
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    assert_eq!((setup.creates(), manager.stats().sent_without), (1, 6));
}
