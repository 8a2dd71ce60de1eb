//! A bound on the bytes of pushes that are in memory at one time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::telemetry::IngestMetrics;

/// The shared count.
#[derive(Clone)]
pub(super) struct Capacity {
    used: Arc<AtomicUsize>,
    max: usize,
    metrics: IngestMetrics,
}

/// Bytes held by one push; given back when dropped.
pub struct InFlight {
    capacity: Capacity,
    held: usize,
}

impl Capacity {
    pub fn new(max: usize, metrics: IngestMetrics) -> Self {
        Capacity { used: Arc::default(), max, metrics }
    }

    pub fn hold_nothing(&self) -> InFlight {
        InFlight { capacity: self.clone(), held: 0 }
    }
}

impl InFlight {
    /// Counts without a bound, for tests.
    #[cfg(test)]
    pub(crate) fn unlimited(metrics: IngestMetrics) -> Self {
        Capacity::new(usize::MAX, metrics).hold_nothing()
    }

    /// Holds `more` bytes in addition; says no when the server has too many in memory already.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        let grown = self.capacity.used.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.held = self.held.saturating_add(more);
        self.capacity.metrics.set_in_flight_bytes(grown);
        grown <= self.capacity.max
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.capacity.used.fetch_sub(self.held, Ordering::Relaxed);
        self.capacity.metrics.set_in_flight_bytes(before.saturating_sub(self.held));
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn bytes_are_given_back_when_a_push_is_done() {
        let capacity = Capacity::new(100, IngestMetrics::register(&Registry::new()).unwrap());
        let mut first = capacity.hold_nothing();
        assert!(first.grow(60) && first.grow(40));
        assert!(!capacity.hold_nothing().grow(1));
        drop(first);
        assert!(capacity.hold_nothing().grow(100));
    }
}
