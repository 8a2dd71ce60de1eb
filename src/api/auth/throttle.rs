//! Guessing is slow: a peer that showed too many wrong credentials within a minute is not listened to until it is over.
//!
//! Loopback is exempt: a proxy there speaks for many, and a local process could read the settings anyway.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Wrong credentials within one period; a person mistypes a few, a misconfigured agent retries.
const FAILURES_MAX: u32 = 20;

/// How long failures are remembered, from the first one on.
const PERIOD: Duration = Duration::from_secs(60);

/// Peers remembered at one time. When they are all recent the next is not remembered: the map must not grow.
const PEERS_MAX: usize = 10_000;

/// Half of an IPv6 address names the network; one guesser owns the other half.
const IPV6_NETWORK: u128 = !0 << 64;

/// The failures of late.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    peers: Mutex<HashMap<IpAddr, Failures>>,
    /// Spares requests the lock as long as nobody has failed.
    has_peers: AtomicBool,
}

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Throttle {
    /// How long this peer has to wait before it is listened to again; `None` when it may speak.
    pub fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        if !self.has_peers.load(Ordering::Relaxed) {
            return None;
        }
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = peers.get(&network(peer))?;
        let left = PERIOD.checked_sub(now.saturating_duration_since(failures.since))?;
        (failures.count >= FAILURES_MAX && !left.is_zero()).then_some(left)
    }

    /// Notes a wrong credential.
    pub fn note(&self, peer: IpAddr, now: Instant) {
        if peer.to_canonical().is_loopback() {
            return;
        }
        let is_over = |failures: &Failures| now.saturating_duration_since(failures.since) >= PERIOD;
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS_MAX {
            peers.retain(|_, failures| !is_over(failures));
        }
        let is_full = peers.len() >= PEERS_MAX;
        let peer = network(peer);
        match peers.get_mut(&peer) {
            Some(failures) if !is_over(failures) => failures.count = failures.count.saturating_add(1),
            None if is_full => {}
            _ => {
                peers.insert(peer, Failures { since: now, count: 1 });
            }
        }
        self.has_peers.store(true, Ordering::Relaxed);
    }
}

/// The address as far as it tells guessers apart.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(throttle: &Throttle, peer: &str, times: u32, now: Instant) {
        for _ in 0..times {
            throttle.note(address(peer), now);
        }
    }

    #[test]
    fn a_guesser_waits_until_its_minute_is_over_and_others_do_not() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let later = start + Duration::from_secs(20);
        fail(&throttle, "192.0.2.1", FAILURES_MAX - 1, start);
        assert_eq!(throttle.wait(address("192.0.2.1"), later), None);
        fail(&throttle, "::ffff:192.0.2.1", 1, start);
        assert_eq!(throttle.wait(address("192.0.2.1"), later), Some(Duration::from_secs(40)));
        assert_eq!(throttle.wait(address("192.0.2.2"), later), None);
        assert_eq!(throttle.wait(address("192.0.2.1"), start + PERIOD), None);
        fail(&throttle, "192.0.2.1", 1, start + PERIOD);
        assert_eq!(throttle.wait(address("192.0.2.1"), start + PERIOD), None);
    }

    #[test]
    fn an_ipv6_guesser_cannot_hide_in_its_own_network_and_loopback_is_exempt() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for host in 0..FAILURES_MAX {
            throttle.note(address(&format!("2001:db8:1:2::{host:x}")), now);
        }
        assert!(throttle.wait(address("2001:db8:1:2:ffff::9"), now).is_some());
        assert!(throttle.wait(address("2001:db8:1:3::1"), now).is_none());
        for local in ["127.0.0.1", "::1"] {
            fail(&throttle, local, FAILURES_MAX * 2, now);
            assert_eq!(throttle.wait(address(local), now), None);
        }
    }

    #[test]
    fn the_map_is_bounded_and_forgets_what_is_over() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let peer = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes().map(|b| b.max(1)));
        let many = |now| (0..3 * PEERS_MAX).for_each(|n| throttle.note(peer(n * 7 + (1 << 28)), now));
        many(now);
        assert!(throttle.peers.lock().unwrap().len() <= PEERS_MAX);
        throttle.note(address("192.0.2.7"), now + PERIOD);
        assert_eq!(throttle.peers.lock().unwrap().len(), 1);
    }
}
