//! The checks that the programs make at the end. A program of your own needs none of this.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sipher_session::{
    Event, Events, ShutdownReport,
    testing::{Exchange, FakeSipher, Operation, Served, SessionUse},
};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a server runs before a program restarts it.
///
/// If the server restarts within the second in which a rate-limit window began, both windows end in the same second.
/// The restart then cannot be seen until the window ends a minute later.
pub const UPTIME: Duration = Duration::from_secs(2);

/// Kills the server and starts it again: all sessions are gone, and every open connection is closed.
///
/// # Errors
///
/// If another program took the port in between.
pub async fn restart(sipher: &FakeSipher, server: &mut Served) -> Result<()> {
    sleep(UPTIME).await;
    server.close().await?;
    sipher.restart();
    server.reopen()?;
    Ok(())
}

/// Returns the calls that need a session: all but session calls and health calls.
pub fn calls(sipher: &FakeSipher) -> Vec<Exchange> {
    let mut calls = sipher.log();
    calls.retain(|call| call.operation == Operation::Other && call.path != "/v1/health");
    calls
}

/// Returns whether the last call on each of these chains had a session that is still alive. After a restart it takes a
/// few calls until that is so.
pub fn have_sessions(sipher: &FakeSipher, chains: &[&str]) -> bool {
    let calls = calls(sipher);
    chains.iter().all(|chain| {
        let mut on_chain = calls.iter().rev();
        let last = on_chain.find(|call| call.chain.as_deref() == Some(chain));
        last.is_some_and(
            |call| matches!(&call.session, SessionUse::Live { id, .. } if sipher.is_live(id)),
        )
    })
}

/// Checks that every answer is for its session's chain, and that the chain is one of `chains`.
///
/// With inline defaults, a call may have no session, because its body names the chain. Any other exception has to be in
/// `events`: if the server restarts between two calls, they report how many calls may be wrong.
///
/// # Errors
///
/// If an answer is for another chain, and no event reports it.
pub async fn check_calls(sipher: &FakeSipher, events: &mut Events, chains: &[&str]) -> Result<()> {
    let (mut with_session, mut wrong) = (0_u64, 0_u64);
    for call in calls(sipher) {
        let used = call.chain.as_deref();
        if let SessionUse::Live { defaults, .. } = &call.session {
            let asked = defaults["chain"].as_str();
            ensure!(used.is_none() || used == asked, "{call}: {used:?}");
            with_session += 1;
        } else if call.status == 200 && used.is_none_or(|used| !chains.contains(&used)) {
            println!("not its owner's chain: {call}");
            wrong += 1;
        }
    }
    ensure!(with_session > 0, "no call had a session");
    // The event comes after the call, because the server is asked first.
    let deadline = Instant::now() + Duration::from_secs(5);
    while wrong > 0 {
        match timeout_at(deadline, events.recv()).await {
            Ok(Some(Event::Lost { requests, .. })) => {
                wrong = wrong.saturating_sub(requests);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => bail!("{wrong} wrong answers, and no event"),
        }
    }
    Ok(())
}

/// Checks that the shutdown has left no session on the server.
///
/// # Errors
///
/// If a session is left.
pub fn check_end(sipher: &FakeSipher, report: &ShutdownReport) -> Result<()> {
    ensure!(report.is_clean(), "{report}");
    ensure!(sipher.live_sessions() == 0, "left: {sipher:?}");
    Ok(())
}
