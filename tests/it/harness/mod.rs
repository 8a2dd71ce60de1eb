//! What the integration tests stand on: the server as a child process, a plain HTTP client, scripted fake services.

pub mod fake;
pub mod http;
pub mod server;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use fake::{Answer, FakeService};
pub use http::{Response, send};
pub use server::{TestServer, stream};

/// Nanoseconds since 1970, now: tests push lines of today because old ones are refused.
#[expect(clippy::disallowed_methods, reason = "a test client has the wall clock that a log sender has")]
pub fn now_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Asks `probe` until it answers, at most `limit`.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says why a test proves nothing here. On a CI machine a missing part is a failure.
#[expect(clippy::disallowed_methods, reason = "tests ask the environment whether they run in CI")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {why}");
    eprintln!("skipped: {why}");
}
