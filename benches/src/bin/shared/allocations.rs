//! Counts the heap allocations of calls. This is not in the library: each program that links the counter also gets its
//! allocator.

use allocation_counter::measure;
use sipher_session_benches::{
    cases,
    lane::{BATCH, timed_section},
};

/// Returns the allocations per call.
pub fn allocations(name: &str) -> f64 {
    let mut lane = (cases::named(name).lane)();
    // Each key is used several times before the count starts, as in the measurement of times.
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
