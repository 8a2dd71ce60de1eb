//! Owner of every background task: each has a name, is told to stop, and is waited for.
//!
//! A task that ends with an error or a panic before the stop was asked for stops the whole process: half a Sigyn
//! that silently no longer analyses is worse than a restart.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns named tasks and stops them in order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    failures: mpsc::Sender<TaskFailed>,
    failed: Arc<tokio::sync::Mutex<mpsc::Receiver<TaskFailed>>>,
}

/// A task ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[error("task '{task}' failed: {cause}")]
pub struct TaskFailed {
    /// The task's name.
    pub task: &'static str,
    /// Its error, or that it panicked.
    pub cause: String,
}

impl Default for Supervisor {
    fn default() -> Self {
        let (failures, failed) = mpsc::channel(1);
        Supervisor {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failures,
            failed: Arc::new(tokio::sync::Mutex::new(failed)),
        }
    }
}

impl Supervisor {
    /// Starts a task. It must end soon after `stop` is cancelled; an error or panic before that is a failure.
    pub fn spawn<E: std::fmt::Display + Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let failures = self.failures.clone();
        let running = self.tracker.spawn(task);
        self.tracker.spawn(async move {
            let cause = match running.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(join) => join.to_string(),
            };
            // A full channel means that another failure is already being handled.
            let _ = failures.try_send(TaskFailed { task: name, cause });
        });
    }

    /// The token that tells tasks to stop.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until some task fails.
    pub async fn failure(&self) -> Option<TaskFailed> {
        self.failed.lock().await.recv().await
    }

    /// Tells every task to stop and waits for all of them, at most `grace`. Says whether all ended in time.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_task_is_reported_by_name() {
        let supervisor = Supervisor::default();
        supervisor.spawn("doomed", async {
            if true {
                panic!("boom");
            }
            Ok::<(), String>(())
        });
        assert_eq!(supervisor.failure().await.unwrap().task, "doomed");
    }

    #[tokio::test]
    async fn stop_waits_for_tasks() {
        let supervisor = Supervisor::default();
        let token = supervisor.stop_token();
        supervisor.spawn("patient", async move {
            token.cancelled().await;
            Ok::<(), String>(())
        });
        assert!(supervisor.stop(Duration::from_secs(5)).await);
    }
}
