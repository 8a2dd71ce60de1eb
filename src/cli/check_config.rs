//! `sigyn check-config`: all mistakes of settings and rule files at once.

use super::{ServerArgs, output};
use crate::rules;

pub(super) fn run(args: ServerArgs) -> anyhow::Result<()> {
    let settings = args.load()?;
    for warning in &settings.warnings {
        output::problem(&format!("warning: {warning}"));
    }
    if let Err(mistakes) = rules::load(&settings.rules) {
        let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::bail!("{}", all.join("\n"));
    }
    output::say("configuration is good");
    output::say(&format!("  listen   {}", settings.listen.addr));
    output::say(&format!("  data     {}", settings.store.data_dir.display()));
    let model = settings.llm.map(|llm| format!("{} {}", llm.effective_provider().as_str(), llm.model));
    output::say(&format!("  model    {}", model.as_deref().unwrap_or("none: rules alone")));
    let upstream = settings.forward.map(|forward| output::tame(&forward.url));
    output::say(&format!("  forward  {}", upstream.as_deref().unwrap_or("none")));
    let channels: Vec<_> = settings.channels.iter().map(|channel| output::tame(&channel.name)).collect();
    let channels = Some(channels.join(", ")).filter(|names| !names.is_empty());
    output::say(&format!("  channels {}", channels.as_deref().unwrap_or("none")));
    Ok(())
}
