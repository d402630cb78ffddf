//! Tracks which containers surround a place in a JSON text. It takes one bit for each, and no allocation up to a
//! depth of 64.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Object,
}

#[derive(Default)]
pub(super) struct Nesting {
    depth: usize,
    /// The innermost containers, the last one in the lowest bit. A one is an object.
    kinds: u64,
    /// The containers around those, 64 in each word.
    outer: Vec<u64>,
}

impl Nesting {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn innermost(&self) -> Option<Kind> {
        let kind = if self.kinds & 1 == 1 {
            Kind::Object
        } else {
            Kind::Array
        };
        (self.depth > 0).then_some(kind)
    }

    pub(super) fn push(&mut self, kind: Kind) {
        if self.is_full() {
            self.outer.push(self.kinds);
        }
        self.kinds = self.kinds << 1 | u64::from(kind == Kind::Object);
        self.depth += 1;
    }

    pub(super) fn pop(&mut self) {
        self.depth -= 1;
        self.kinds >>= 1;
        if self.is_full() {
            self.kinds = self.outer.pop().unwrap_or_default();
        }
    }

    /// Returns whether all bits of `kinds` are in use.
    fn is_full(&self) -> bool {
        self.depth > 0 && self.depth.is_multiple_of(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_popped_at_any_depth() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut nesting, mut simple) = (Nesting::default(), Vec::new());
        for step in 0..20_000 {
            // Goes some hundreds deep, and back up.
            if simple.is_empty() || rng.u32(..100) < if step % 2_000 < 1_000 { 65 } else { 35 } {
                let kind = if rng.bool() {
                    Kind::Array
                } else {
                    Kind::Object
                };
                nesting.push(kind);
                simple.push(kind);
            } else {
                nesting.pop();
                simple.pop();
            }
            assert_eq!(nesting.innermost(), simple.last().copied());
            assert_eq!(nesting.depth(), simple.len());
        }
    }
}
