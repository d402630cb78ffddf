//! When a retry can succeed, and when the crate makes its next call.

use std::time::Duration;

use sipher_session::{Error, ErrorKind};

use crate::{MINUTE, support::Setup, without_quota};

async fn fails(setup: &Setup, manager: &sipher_session::SessionManager) -> Error {
    let error = setup.call(manager).await.unwrap_err();
    Error::find(&error).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn who_obeys_a_quotas_retry_after_fails_once_and_succeeds() {
    let setup = without_quota();
    let manager = setup.manager();
    let mut failures = 0;
    while let Err(error) = setup.call(&manager).await {
        failures += 1;
        let after = Error::find(&error).unwrap().retry_after().unwrap();
        tokio::time::sleep(after).await;
    }
    assert_eq!(failures, 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_quota_says_when_it_resets_and_when_it_is_tried_next() {
    let setup = without_quota();
    let manager = setup.manager();
    for minute in 0..40_u32 {
        let error = fails(&setup, &manager).await;
        assert_eq!(error.kind(), ErrorKind::Quota);
        let reset_in = (6 * 60 - minute) * MINUTE;
        let off = error.retry_after().unwrap().abs_diff(reset_in);
        assert!(off <= Duration::from_secs(1), "{minute}: {error:?}");
        let next = error.next_attempt_in().unwrap();
        let expected = (15 - minute % 15) * MINUTE;
        assert!(
            next.abs_diff(expected) <= Duration::from_secs(1),
            "{minute}: {next:?}"
        );
        tokio::time::sleep(MINUTE).await;
    }
    assert_eq!(setup.creates(), 3, "one each quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn for_every_other_failure_the_two_are_the_same() {
    use sipher_session::testing::{Fault, Target, What};
    for status in [400, 401, 404, 429, 503] {
        let setup = Setup::apart();
        let fault = Fault::new(What::Status(status)).on(Target::Create);
        setup.sipher.fault(fault.always());
        let manager = setup.manager();
        let error = fails(&setup, &manager).await;
        assert!(error.retry_after().is_some(), "{status}");
        assert_eq!(error.next_attempt_in(), error.retry_after(), "{status}");
    }
}
