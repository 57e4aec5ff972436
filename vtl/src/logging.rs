//! The log: for people on a terminal, as JSON, or to systemd's journal.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::cli::LogFormat;

/// Starts logging for the whole program. `RUST_LOG` chooses what is logged; without it, what an operator wants to know.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let layer = match format {
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
        LogFormat::Human => human(),
        LogFormat::Auto => journal().unwrap_or_else(human),
    };
    Registry::default().with(filter).with(layer).init();
}

fn human() -> Box<dyn Layer<tracing_subscriber::layer::Layered<EnvFilter, Registry>> + Send + Sync>
{
    use std::io::IsTerminal;
    fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .boxed()
}

/// systemd sets `JOURNAL_STREAM` where standard error goes to the journal.
fn journal()
-> Option<Box<dyn Layer<tracing_subscriber::layer::Layered<EnvFilter, Registry>> + Send + Sync>> {
    std::env::var_os("JOURNAL_STREAM")?;
    tracing_journald::layer().ok().map(Layer::boxed)
}
