//! `sigyn test-alert`: sends a test message over every channel, or one, and says what each service answered. Needs no
//! running server.

use clap::Args;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{ServerArgs, output};
use crate::{
    notify::{Channel, Fault, Message, Outcome},
    runtime::Clock,
};

/// What `test-alert` takes.
#[derive(Debug, Args)]
pub(super) struct TestAlertArgs {
    /// Only this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// A line to quote, as if it stood in a log
    #[arg(long, value_name = "TEXT")]
    line: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &TestAlertArgs, outer: ServerArgs) -> anyhow::Result<()> {
    let settings = args.server.clone().or(outer).load()?;
    for warning in &settings.warnings {
        output::problem(&format!("warning: {warning}"));
    }
    let is_wanted = |name: &str| args.channel.as_deref().is_none_or(|wanted| wanted == name);
    let clock = Clock::system();
    let channels = settings.channels.into_iter().filter(|channel| is_wanted(&channel.name));
    let channels: Vec<Channel> = channels.map(|channel| Channel::new(channel, clock.clone())).collect();
    if channels.is_empty() {
        match &args.channel {
            Some(name) => anyhow::bail!("there is no channel '{}'", output::tame(name)),
            None => anyhow::bail!("no channel is configured: add one under 'channels'"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let message = Message::test(Uuid::now_v7(), args.line.as_deref(), clock.now());
    let outcomes = runtime.block_on(join_all(channels.iter().map(|channel| channel.send(&message, None))));
    let width = channels.iter().map(|channel| channel.name().chars().count()).max().unwrap_or(0);
    let mut failed = 0;
    for (channel, outcome) in channels.iter().zip(outcomes) {
        failed += usize::from(!matches!(outcome, Outcome::Delivered(_)));
        output::say(&format!("{:width$}  {}", output::tame(channel.name()), output::tame(&told(&outcome))));
    }
    if failed > 0 {
        anyhow::bail!("{failed} of {} channels failed", channels.len());
    }
    Ok(())
}

/// An outcome in words.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered(receipt) => {
            let handle = receipt.handle.iter().map(|handle| format!(" as {handle}"));
            let answer = Some(&receipt.answer).filter(|answer| !answer.is_empty());
            format!(
                "delivered{}{}",
                handle.collect::<String>(),
                answer.map(|a| format!(": {a}")).unwrap_or_default()
            )
        }
        Outcome::Retry { after: Some(after), why } => format!("not now, in {after:?} again: {why}"),
        Outcome::Retry { after: None, why } => format!("not now: {why}"),
        Outcome::Rewrite { why } | Outcome::Refused { why, fault: Fault::Message } => {
            format!("refused: {why}")
        }
        Outcome::Refused { why, fault: Fault::Channel } => format!("the channel does not work: {why}"),
    }
}
