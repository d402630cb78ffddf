//! Draws a day in the life of an agent's sessions, from a simulation.
//!
//! `day FILE [SEED]` simulates 24 hours of virtual time and writes a picture of them. The same seed gives the same
//! picture.

use std::{env, fs};

use sipher_session::BoxError;
use sipher_session_benches::day::{self, picture};

/// The seed of the picture in `docs/observability`.
const SEED: u64 = 9;

fn main() -> Result<(), BoxError> {
    let file = env::args().nth(1).ok_or("day FILE [SEED]")?;
    let seed = env::args().nth(2).map_or(Ok(SEED), |seed| seed.parse())?;
    let lived = day::live(seed)?;
    eprintln!("{:?}\n{:#?}", lived.totals, lived.marks);
    fs::write(file, picture::draw(&lived))?;
    Ok(())
}
