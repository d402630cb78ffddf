//! The result of the run, in words.

use std::fmt;

use sipher_session::{Fate, ShutdownReport, Stats, api::SessionId, testing::FakeSipher};

use crate::{judge::Verdict, record::Seen};

pub(crate) struct Report {
    pub(crate) seen: Seen,
    pub(crate) stats: Stats,
    /// The largest number of session calls that the budget allows in the time.
    pub(crate) bound: u64,
    pub(crate) shutdown: ShutdownReport,
    pub(crate) leaked_sessions: usize,
    pub(crate) leaked_tasks: usize,
}

impl Report {
    /// Returns everything that must not have happened.
    pub(crate) fn failures(&self) -> Vec<String> {
        let seen = &self.seen;
        let of = |verdict| self.downgrades(verdict);
        let too_many = seen.session_calls.saturating_sub(self.bound);
        let counts = [
            (
                of(Verdict::AfterASign),
                "calls with a dead id began after a sign of trouble",
            ),
            (
                of(Verdict::Overdue),
                "calls had a dead id when a check of it was long due",
            ),
            (
                of(Verdict::Unnamed),
                "calls had a dead id outside of the spans that `Event::Lost` named",
            ),
            (seen.bare, "calls had no session"),
            (seen.mistaken, "calls had a session with other defaults"),
            (too_many, "session calls were more than the budget allows"),
            (
                seen.missed_events,
                "events were missed, so that nothing is certain",
            ),
            (
                self.leaked_sessions as u64,
                "sessions live on that nobody named",
            ),
            (
                self.leaked_tasks as u64,
                "tasks were left when everything had been dropped",
            ),
        ];
        let broken = counts.into_iter().filter(|&(count, _)| count > 0);
        broken
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }

    fn downgrades(&self, verdict: Verdict) -> u64 {
        let downgrades = self.seen.downgrades.iter();
        downgrades
            .filter(|downgrade| Verdict::of(downgrade, &self.seen) == verdict)
            .count() as u64
    }
}

/// Counts the live sessions that no event and no shutdown report has named. Each possible orphan may be one of them, so
/// their number is subtracted.
pub(crate) fn leaked_sessions(
    sipher: &FakeSipher,
    shutdown: &ShutdownReport,
    seen: &Seen,
) -> usize {
    let is_named = |id: &SessionId| {
        let mut reported = shutdown.sessions.iter().filter(|end| {
            let lives_on = matches!(end.fate, Fate::LeftToExpire { .. } | Fate::Failed { .. });
            lives_on && end.session.fingerprint == id.fingerprint()
        });
        seen.left_to_expire.contains(&id.fingerprint()) || reported.next().is_some()
    };
    let alive = sipher.live_session_ids();
    let alive = alive.iter().filter_map(|id| SessionId::parse(id));
    let orphans = usize::try_from(seen.possible_orphans).unwrap_or(usize::MAX);
    alive
        .filter(|id| !is_named(id))
        .count()
        .saturating_sub(orphans)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, stats) = (&self.seen, &self.stats);
        let of = |verdict| self.downgrades(verdict);
        writeln!(f, "requests       {}", seen.outcomes.values().sum::<u64>())?;
        for (outcome, count) in &seen.outcomes {
            writeln!(f, "               {count} {outcome}")?;
        }
        let (calls, bound) = (seen.session_calls, self.bound);
        writeln!(
            f,
            "session calls  {calls} reached the server, of {bound} that the budget allows"
        )?;
        let (created, failed) = (stats.created, stats.create_failures);
        let (renewals, verified) = (seen.renewals, seen.verified);
        writeln!(
            f,
            "sessions       {created} created, {failed} times in vain"
        )?;
        writeln!(f, "               {renewals} were renewals")?;
        writeln!(f, "               {verified} times one was proved alive")?;
        let (kills, forgettings) = (seen.kills, seen.forgettings.len());
        writeln!(
            f,
            "server         {kills} times killed, {forgettings} times all forgotten"
        )?;
        writeln!(f, "suspicions     {}", seen.suspicions)?;
        writeln!(
            f,
            "lost           {} sessions, which {} requests had borne since they were last known alive",
            seen.lost.len(),
            seen.lost_requests
        )?;
        writeln!(
            f,
            "dead ids       {} in the spans that `Event::Lost` named",
            of(Verdict::Named)
        )?;
        writeln!(
            f,
            "               {} of sessions that were put out of use before anybody asked about them",
            of(Verdict::NeverAskedAbout)
        )?;
        writeln!(
            f,
            "must be 0      {} began after a sign of trouble, {} when a check was long due, {} outside of the spans",
            of(Verdict::AfterASign),
            of(Verdict::Overdue),
            of(Verdict::Unnamed)
        )?;
        writeln!(
            f,
            "               {} calls without a session, {} with other defaults",
            seen.bare, seen.mistaken
        )?;
        writeln!(f, "shut down      {}", self.shutdown)?;
        write!(
            f,
            "leaked         {} sessions, {} tasks",
            self.leaked_sessions, self.leaked_tasks
        )
    }
}
