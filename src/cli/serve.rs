//! `sigyn serve`: runs the server until a signal. The first one stops softly, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ServerArgs, log};
use crate::app::App;

pub(super) fn run(args: ServerArgs) -> anyhow::Result<()> {
    let settings = args.load()?;
    log::start(&settings.log)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let app = Box::pin(App::start(settings)).await?;
        let (soft, asked) = tokio::sync::oneshot::channel();
        let mut running = Box::pin(app.wait(async {
            let _ = asked.await;
        }));
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            () = signals.next() => tracing::info!("stopping; a second signal stops at once"),
        }
        // The receiver waits inside `running`.
        let _ = soft.send(());
        tokio::select! {
            ended = running => Ok(ended?),
            () = signals.next() => anyhow::bail!("stopped at once; nothing acknowledged is lost"),
        }
    })
}

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of either.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
