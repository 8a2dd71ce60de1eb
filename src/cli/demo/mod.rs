//! `sigyn demo`: the real server on loopback, fed with a generated day of six servers; shows what it finds.
//!
//! Everything goes through HTTP, as Promtail and a reader would do it. The database lives in a temporary folder that is
//! gone at the end. Nothing leaves the machine: no model, no forwarding, no configuration file or environment.

mod batch;
mod cron;
mod day;
mod docker;
mod kernel;
mod nginx;
mod postgres;
mod rng;
mod show;
mod site;
mod sshd;
mod stamp;
mod systemd;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;

use self::{batch::Batch, show::Shown, site::Site};
use super::{log, output, serve::Signals};
use crate::{
    app::{App, AppError},
    config::{self, Sources},
    listen::BindError,
    runtime::Clock,
};

/// Loki's port, which people know.
const PORT: u16 = 3100;
/// How long the replay of the day takes, unless it is as fast as accepted.
const REPLAY: Duration = Duration::from_secs(30);
/// Windows of the demo: short, so that findings show while one watches.
const WINDOW: Duration = Duration::from_secs(5);
/// How often findings are asked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long the analysis may take after the last line, on a slow machine.
const SETTLE: Duration = Duration::from_secs(90);

/// What `demo` takes.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Port on 127.0.0.1; 0 chooses a free one [default: 3100, or a free one when it is taken]
    #[arg(long)]
    port: Option<u16>,
    /// Replay as fast as the server accepts instead of within 30 seconds
    #[arg(long)]
    fast: bool,
    /// End when the day is over instead of staying up
    #[arg(long)]
    exit_after_replay: bool,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("sigyn-demo-").tempdir()?;
    let outcome = runtime.block_on(live(args, folder.path()));
    // Nothing may still write into the folder.
    drop(runtime);
    folder.close()?;
    outcome
}

/// Serves and replays until the end or a signal, then stops in order. A second signal stops at once.
async fn live(args: &DemoArgs, folder: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let app = Box::pin(start(args.port, folder)).await?;
    let site = Site::new(app.address());
    let (soft, asked) = tokio::sync::oneshot::channel();
    let mut running = Box::pin(app.wait(async {
        let _ = asked.await;
    }));
    let watched = async {
        show_day(args, &site, folder).await?;
        if !args.exit_after_replay {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let shown = tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = signals.next() => Ok(()),
        shown = Box::pin(watched) => shown,
    };
    let _ = soft.send(());
    tokio::select! {
        ended = running => ended?,
        () = signals.next() => anyhow::bail!("stopped at once"),
    }
    shown
}

/// Starts the server on the port asked for, or on a free one when nobody asked and the usual one is taken.
async fn start(port: Option<u16>, folder: &Path) -> anyhow::Result<App> {
    let mut settings = config::load(&Sources::default())?;
    settings.store.data_dir = folder.join("data");
    settings.analyze.window = WINDOW;
    // A day in half a minute is more than a day's rate.
    settings.ingest.limits.ingestion_rate_bytes = 0;
    settings.ingest.limits.per_stream_rate_bytes = 0;
    settings.log.filter = "warn".to_owned();
    log::start(&settings.log)?;
    settings.listen.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(PORT)));
    match Box::pin(App::start(settings.clone())).await {
        Err(AppError::Bind(BindError::Address { .. })) if port.is_none() => {
            settings.listen.addr.set_port(0);
            Ok(Box::pin(App::start(settings)).await?)
        }
        started => Ok(started?),
    }
}

/// Replays the day, shows findings as they appear, and sums up.
async fn show_day(args: &DemoArgs, site: &Site, folder: &Path) -> anyhow::Result<()> {
    let batches = batch::batches(day::lines(Clock::system().now()));
    let lines: u64 = batches.iter().map(|batch| batch.lines).sum();
    let pace = if args.fast { "as fast as it is taken" } else { "in 30 seconds" };
    output::say(&format!("\nSigyn demo: a day of six servers, {lines} lines, replayed {pace}.\n"));
    addresses(site);
    output::say(&format!("  data  {} (removed at the end)\n", folder.display()));

    let mut shown = Shown::new(output::is_colourful());
    let took = replay(args, site, batches, &mut shown).await?;
    settle(site, &mut shown).await?;
    let findings = site.findings().await?;
    output::progress("");
    output::say(&format!("{}\n", "─".repeat(72)));
    let rate = lines as f64 / took.as_secs_f64().max(0.001);
    output::say(&format!("  {lines} lines pushed in {:.1} s ({rate:.0} lines/s)", took.as_secs_f64()));
    output::say(&format!("  {} findings: {}\n", findings.len(), show::tally(&findings)));
    output::say(&format!("{}\n", show::table(&findings, output::is_colourful())));
    if !args.exit_after_replay {
        addresses(site);
        output::say("\n  The server stays up. Press Ctrl-C to end it.");
    }
    Ok(())
}

fn addresses(site: &Site) {
    output::say(&format!("  page  {}", site.url("/")));
    output::say(&format!("  API   {}", site.url("/api/v1/findings")));
}

/// Pushes everything at its pace. Says how long the pushes took.
async fn replay(
    args: &DemoArgs,
    site: &Site,
    batches: Vec<Batch>,
    shown: &mut Shown,
) -> anyhow::Result<Duration> {
    let (started, all) = (Instant::now(), u32::try_from(batches.len()).unwrap_or(u32::MAX).max(1));
    let step = if args.fast { Duration::ZERO } else { REPLAY / all };
    let (mut pushing, mut looked) = (Duration::ZERO, Instant::now());
    for (n, batch) in (1..).zip(batches) {
        output::progress(&format!("  {}  {} %", stamp::short(batch.at), 100 * n / all));
        let push_started = Instant::now();
        site.push(batch.into_streams()).await?;
        pushing += push_started.elapsed();
        if looked.elapsed() >= LOOK_EVERY {
            look(site, shown).await?;
            looked = Instant::now();
        }
        tokio::time::sleep((step * n).saturating_sub(started.elapsed())).await;
    }
    Ok(pushing)
}

/// Waits until every line is analysed, and shows what that still brings.
async fn settle(site: &Site, shown: &mut Shown) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let is_settled = site.is_settled().await?;
        look(site, shown).await?;
        if is_settled {
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < SETTLE, "the analysis did not end within {SETTLE:?}");
        output::progress("  analysing the last lines");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(site: &Site, shown: &mut Shown) -> anyhow::Result<()> {
    for news in shown.news(&site.findings().await?) {
        output::progress("");
        output::say(&news);
    }
    Ok(())
}
