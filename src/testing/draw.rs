//! Numbers that look random and are the same in each run.

/// Added to the state at each draw.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws the next number with `SplitMix64`. Each state gives another number, so no number repeats.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Draws one of the numbers from 0 to `count - 1`. Returns 0 if `count` is 0.
pub(super) fn one_of(count: usize, state: &mut u64) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(next(state) % count).unwrap_or_default()
}
