//! Counts what calls take from the heap. Not in the library, since whoever names the counter gets its allocator.

use allocation_counter::measure;
use sipher_session_benches::{
    cases,
    lane::{BATCH, timed_section},
};

/// Allocations a call.
pub fn allocations(name: &str) -> f64 {
    let mut lane = (cases::named(name).lane)();
    // Each key comes by several times before anything is counted, as it does where times are taken.
    let warm_up = 3 * cases::MANY / BATCH;
    let batches = 64;
    let mut counted = 0;
    for batch in 0..warm_up + batches {
        let info = measure(|| timed_section(&mut *lane));
        lane.reset();
        if batch >= warm_up {
            counted += info.count_total;
        }
    }
    counted as f64 / (batches * BATCH) as f64
}
