//! The pool of read-only connections: opened when first needed, kept, never more than the limit at once.

use std::{
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::store::{Connection, StoreError, open};

/// The pool.
pub(crate) struct Readers {
    path: PathBuf,
    max: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Readers {
    /// An empty pool for the database at `path`.
    pub(crate) fn new(path: PathBuf, max: usize) -> Self {
        Readers { path, max: max.max(1), state: Mutex::default(), returned: Condvar::new() }
    }

    /// How many may be in use at once.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Runs `f` on a connection, in one transaction so that everything it reads belongs together. May block.
    pub(crate) fn run<T>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lent = self.lend()?;
        let Some(conn) = &lent.conn else { return Err(StoreError::Closed) };
        let transaction = conn.unchecked_transaction()?;
        let result = f(&transaction);
        transaction.finish()?;
        result
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut state = self.state();
        loop {
            if let Some(conn) = state.idle.pop() {
                return Ok(Lent { pool: self, conn: Some(conn) });
            }
            if state.open < self.max {
                state.open += 1;
                drop(state);
                // From here on the guard gives the place back, also when opening fails.
                let mut lent = Lent { pool: self, conn: None };
                lent.conn = Some(open::reader(&self.path)?);
                return Ok(lent);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan; goes back to the pool also when the reader panics.
struct Lent<'a> {
    pool: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        match self.conn.take() {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        self.pool.returned.notify_one();
    }
}
