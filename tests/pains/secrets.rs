//! What logs and errors may show, and what they must not show.

use std::{collections::HashSet, fmt::Write};

use sipher_session::{
    BoxError, Event, Fingerprint, SessionLayer, SessionRef,
    testing::{Fault, SessionUse, Target, What},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    failures,
    support::{Call, SECOND, Setup, generate, pass},
    told,
};

fn session_of(event: &Event) -> Option<SessionRef> {
    match event {
        Event::Created { session, .. }
        | Event::RenewalFailed { session, .. }
        | Event::Verified { session, .. }
        | Event::CheckFailed { session, .. }
        | Event::Lost { session, .. }
        | Event::Retired { session, .. }
        | Event::Deleted { session, .. }
        | Event::LeftToExpire { session, .. } => Some(*session),
        _ => None,
    }
}

fn chain_of(error: &BoxError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut next = error.source();
    while let Some(error) = next {
        write!(text, " {error:?} {error}").unwrap();
        next = error.source();
    }
    text
}

/// Pain 26: session ids, which are as good as passwords, were in logs in dozens of places. Where they were removed,
/// nobody could tell which line belonged to which session.
#[tokio::test(start_paused = true)]
async fn nothing_shows_an_id_or_a_key_and_yet_all_that_is_told_of_one_session_can_be_put_together()
{
    let mut fingerprints: HashSet<Fingerprint> = HashSet::new();
    for what in failures() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
        let mut events = manager.events();
        let mut shown = format!("{:?}", setup.builder());
        let first = manager.session().await.unwrap();
        write!(
            shown,
            "{first:?} {:?} {}",
            first.id(),
            first.id().fingerprint()
        )
        .unwrap();
        // Below the layer, the request itself may be logged.
        let seen = service_fn(async |request: Call| {
            Err::<http::Response<()>, _>(BoxError::from(format!("{request:?}")))
        });
        let echo = SessionLayer::new(manager.clone())
            .layer(seen)
            .oneshot(generate())
            .await;
        shown += &chain_of(&echo.unwrap_err());

        setup
            .sipher
            .fault(Fault::new(what).on(Target::SessionCalls).always());
        setup
            .sipher
            .fault(Fault::new(What::Status(503)).on(Target::Calls).times(2));
        for second in 0..700 {
            if let Err(error) = setup.call(&manager).await {
                shown += &chain_of(&error);
            }
            if second == 650 {
                manager.invalidate(1);
            }
            pass(1.0).await;
        }
        setup.sipher.clear_faults();
        pass(900.0).await;
        let second = manager.session().await.unwrap();
        let report = manager.shutdown(5 * SECOND).await;
        write!(
            shown,
            "{manager:?} {:?} {report:?} {report} {second:?}",
            manager.stats()
        )
        .unwrap();
        let told = told(&mut events);
        write!(shown, "{told:?}").unwrap();

        let ids = setup
            .uses()
            .into_iter()
            .filter_map(|exchange| match exchange.session {
                SessionUse::Live { id, .. } | SessionUse::Dead { id, .. } => Some(id),
                _ => None,
            });
        let ids: HashSet<_> = ids
            .chain([
                first.id().as_str().to_owned(),
                second.id().as_str().to_owned(),
            ])
            .collect();
        for secret in ids
            .iter()
            .map(|id| &id["sess_".len()..])
            .chain([setup.key.as_str()])
        {
            // The text contains neither the secret nor enough of it to find the rest.
            assert!(
                !shown.contains(&secret[..secret.len() / 2]),
                "{name}: {shown}"
            );
        }

        let of = |generation| {
            let sessions = told
                .iter()
                .filter_map(session_of)
                .filter(move |session| session.generation == generation);
            sessions
                .map(|session| session.fingerprint)
                .collect::<HashSet<_>>()
        };
        assert_eq!(
            of(first.generation()),
            HashSet::from([first.id().fingerprint()]),
            "{name}"
        );
        assert_eq!(
            of(second.generation()),
            HashSet::from([second.id().fingerprint()]),
            "{name}"
        );
        let ends = report.sessions.iter().map(|end| end.session.fingerprint);
        assert!(
            ends.into_iter()
                .any(|fingerprint| fingerprint == second.id().fingerprint()),
            "{name}"
        );
        fingerprints.extend([first.id().fingerprint(), second.id().fingerprint()]);
    }
}
