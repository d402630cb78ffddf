//! The picture of a day, as plain SVG.

mod notes;

use std::fmt::{Display, Write};

use sipher_session::{RetireReason, testing::Operation};

use super::{DAY, Day, End, Incident, Outcome, Request};
use crate::report::svg;

const WIDTH: f64 = 1_240.0;
const LEFT: f64 = 148.0;
const RIGHT: f64 = 24.0;
/// Where the rows of the picture begin and end.
const TOP: f64 = 92.0;
const BOTTOM: f64 = 366.0;
/// How many seconds each column of requests stands for.
const PART: f64 = 300.0;

const GREY: &str = "#8c959f";
const RED: &str = "#cf222e";
const INK: &str = "#1f2328";

/// The ends of sessions, with colour and explanation, in the order of the legend.
const ENDS: [(End, &str, &str); 5] = [
    (
        End::Retired(RetireReason::Replaced),
        "#1f6feb",
        "renewed, then replaced",
    ),
    (End::Expired, GREY, "expired, as nobody used it"),
    (End::Retired(RetireReason::Lost), RED, "lost in a restart"),
    (
        End::Retired(RetireReason::Changed),
        "#8250df",
        "defaults changed",
    ),
    (
        End::Retired(RetireReason::Shutdown),
        "#1a7f37",
        "shutdown at midnight",
    ),
];

/// Draws a day.
pub fn draw(day: &Day) -> String {
    let height = BOTTOM + 84.0 + 18.0 * (day.marks.len() + 1) as f64;
    let title =
        "A day of an agent's sessions: 24 hours of virtual time, sessions of an hour, times in UTC";
    let mut svg = svg::start(title, WIDTH, height);
    background(&mut svg, day);
    marks(&mut svg, day);
    requests(&mut svg, &day.requests);
    sessions(&mut svg, day);
    ticks(&mut svg, day);
    legend(&mut svg, day);
    notes::write(&mut svg, day, BOTTOM + 76.0);
    svg + "</svg>\n"
}

fn x(at: f64) -> f64 {
    LEFT + at / DAY.as_secs_f64() * (WIDTH - LEFT - RIGHT)
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: impl Display) {
    let text = svg::escaped(&text.to_string());
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#
    );
}

fn rect(svg: &mut String, [x, y, width, height]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
    );
}

fn line(svg: &mut String, x: f64, [from, to]: [f64; 2], colour: &str) {
    let _ = writeln!(
        svg,
        r#"<path d="M{x:.1} {from:.1}V{to:.1}" stroke="{colour}"/>"#
    );
}

/// Draws the hours, and a band for each outage, behind everything.
fn background(svg: &mut String, day: &Day) {
    for hour in 0..=24_u32 {
        let at = x(f64::from(hour) * 3_600.0);
        line(svg, at, [TOP, BOTTOM], "#eaeef2");
        if hour % 2 == 0 {
            text(svg, at, TOP - 6.0, "middle", GREY, format!("{hour:02}:00"));
        }
    }
    for mark in day
        .marks
        .iter()
        .filter(|it| it.incident == Incident::Outage)
    {
        let width = x(mark.at + mark.incident.lasts()) - x(mark.at);
        rect(svg, [x(mark.at), TOP, width, BOTTOM - TOP], "#ffc1bc");
    }
}

/// Draws how many requests there were in each part of the day. Those that were wrong or failed are at the bottom.
fn requests(svg: &mut String, requests: &[Request]) {
    const BASE: f64 = TOP + 84.0;
    const HEIGHT: f64 = 70.0;
    let parts = (DAY.as_secs_f64() / PART) as usize;
    let part_of = |it: &Request| ((it.at / PART) as usize).min(parts - 1);
    let mut counts = vec![[0_u32; 3]; parts];
    for request in requests {
        let kind = match request.outcome {
            Outcome::Failed => 0,
            Outcome::Wrong => 1,
            Outcome::Right => 2,
        };
        counts[part_of(request)][kind] += 1;
    }
    let most = counts.iter().map(|it| it.iter().sum::<u32>()).max();
    let scale = HEIGHT / f64::from(most.unwrap_or(1).max(1));
    let width = x(PART) - x(0.0) - 0.6;
    for (i, part) in counts.iter().enumerate() {
        let mut y = BASE;
        for (count, colour) in part.iter().zip([RED, "#f2a900", "#57606a"]) {
            // A wrong or failed request must be visible, so its bar has a minimum height.
            let least = if colour == "#57606a" { 0.0 } else { 7.0 };
            let height = (f64::from(*count) * scale).max(least);
            if *count > 0 {
                y -= height;
                rect(svg, [x(i as f64 * PART), y, width, height], colour);
            }
        }
    }
    let name = format!("up to {} in 5 min", most.unwrap_or(0));
    lane(svg, BASE - 40.0, "requests");
    text(svg, LEFT - 12.0, BASE - 25.0, "end", GREY, name);
}

fn lane(svg: &mut String, y: f64, name: &str) {
    text(svg, LEFT - 12.0, y, "end", INK, name);
}

/// Draws the sessions in three rows in turn, so that neighbours can be told apart.
fn sessions(svg: &mut String, day: &Day) {
    const FIRST: f64 = TOP + 98.0;
    for (i, bar) in day.sessions.iter().enumerate() {
        let y = FIRST + 18.0 * (i % 3) as f64;
        let (from, width) = (x(bar.from), (x(bar.to) - x(bar.from)).max(1.5));
        let known = ENDS.iter().find(|(end, ..)| *end == bar.end);
        let colour = known.map_or(INK, |(_, colour, _)| *colour);
        rect(svg, [from, y, width, 14.0], colour);
        if width > 16.0 {
            text(svg, from + width / 2.0, y + 11.0, "middle", "#fff", i + 1);
        }
    }
    lane(svg, FIRST + 28.0, "sessions");
}

/// Draws the calls that the manager makes itself.
fn ticks(svg: &mut String, day: &Day) {
    let rows = [
        ("create", Operation::Create),
        ("delete", Operation::Delete),
        ("get", Operation::Get),
    ];
    let of = |operation| day.calls.iter().filter(move |call| call.1 == operation);
    let rows = rows.map(|(name, operation)| (name, of(operation).map(|call| call.0).collect()));
    let health: (_, Vec<_>) = ("GET /v1/health", day.questions.clone());
    for (i, (name, times)) in rows.into_iter().chain([health]).enumerate() {
        let y = TOP + 170.0 + 26.0 * i as f64;
        for at in &times {
            line(svg, x(*at), [y, y + 16.0], INK);
        }
        lane(svg, y + 12.0, &format!("{name}: {}", times.len()));
    }
}

/// Draws the number of each incident. The notes below the picture explain the numbers.
fn marks(svg: &mut String, day: &Day) {
    for (i, mark) in day.marks.iter().enumerate() {
        let at = x(mark.at + mark.incident.lasts() / 2.0);
        let colour = match mark.incident {
            Incident::Update => "#8250df",
            _ => RED,
        };
        if mark.incident != Incident::Outage {
            line(svg, at, [TOP - 38.0, BOTTOM], colour);
        }
        let _ = writeln!(
            svg,
            r#"<circle cx="{at:.1}" cy="{:.1}" r="9" fill="{colour}"/>"#,
            TOP - 40.0
        );
        text(svg, at, TOP - 36.0, "middle", "#fff", i + 1);
    }
}

/// Explains the colours that occur in the picture.
fn legend(svg: &mut String, day: &Day) {
    let of_requests = [
        ("#57606a", "requests, answered under the session's defaults"),
        ("#f2a900", "answered under the server's own"),
        (RED, "failed"),
    ];
    let is_there = |end: &End| day.sessions.iter().any(|bar| bar.end == *end);
    let ends = ENDS.iter().filter(|(end, ..)| is_there(end));
    let ends = ends.map(|(_, colour, name)| (*colour, *name));
    for (row, all) in [of_requests.into(), ends.collect::<Vec<_>>()]
        .iter()
        .enumerate()
    {
        let y = BOTTOM + 14.0 + 20.0 * row as f64;
        let mut at = LEFT;
        for (colour, name) in all {
            rect(svg, [at, y, 12.0, 12.0], colour);
            text(svg, at + 18.0, y + 10.0, "start", INK, name);
            at += 44.0 + 6.4 * name.len() as f64;
        }
        let title = ["requests", "a session's end"][row];
        text(svg, LEFT - 12.0, y + 10.0, "end", INK, title);
    }
}
