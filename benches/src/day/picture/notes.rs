//! What the numbers in the picture mean, in words.

use super::{super::Mark, Day, INK, Incident, LEFT, text};

/// How many session operations a pro key may make in a day.
const QUOTA: &str = "2,000";

/// Writes a line for each mark, and the day's totals below them.
pub fn write(svg: &mut String, day: &Day, top: f64) {
    let mut y = top;
    for (i, mark) in day.marks.iter().enumerate() {
        text(
            svg,
            LEFT - 12.0,
            y,
            "end",
            INK,
            format!("{}  {}", i + 1, clock(mark.at)),
        );
        text(svg, LEFT, y, "start", INK, note(mark));
        y += 18.0;
    }
    let it = &day.totals;
    let total = format!(
        "{} requests: {} answered under the server's own defaults, {} failed. {} sessions. {} session calls of {QUOTA} that a pro key \
         has, and {} free questions.",
        it.requests, it.wrong, it.failed, it.sessions, it.session_calls, it.questions
    );
    text(svg, LEFT - 12.0, y + 10.0, "end", INK, "the day");
    text(svg, LEFT, y + 10.0, "start", INK, total);
}

fn note(mark: &Mark) -> String {
    let came = match (mark.failed, mark.wrong) {
        (0, 0) => "no request failed or went wrong".to_owned(),
        (failed, 0) => format!("{} failed", requests(failed)),
        (0, wrong) => format!("{} under the server's own defaults", answers(wrong)),
        (failed, wrong) => format!(
            "{} failed, {} under the server's own defaults",
            requests(failed),
            answers(wrong)
        ),
    };
    let found = mark.found.map_or_else(
        || "nobody notices".to_owned(),
        |at| format!("noticed at {}", clock(at)),
    );
    match mark.incident {
        Incident::RestartUnseen => format!("a restart between two calls: {came}, {found}"),
        Incident::RestartSeen => format!("a restart of 20 s: {came}, {found}"),
        Incident::Outage => format!("an outage of 3 minutes: {came}; the session goes on after it"),
        Incident::Update => format!("the defaults are changed: {came}"),
    }
}

fn requests(count: usize) -> String {
    format!("{count} request{}", if count == 1 { "" } else { "s" })
}

fn answers(count: usize) -> String {
    format!("{count} answer{}", if count == 1 { "" } else { "s" })
}

/// Returns the time of day, from the seconds since midnight.
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hour, minute) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}", seconds % 60)
}
