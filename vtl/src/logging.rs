//! The log: for people on a terminal, as JSON, or to systemd's journal; and its last lines in memory, for a report to the
//! developers (`vtl doctor --bundle`), whoever keeps the rest of it.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::cli::LogFormat;
use crate::library::lock;

/// Lines that are remembered.
const RECENT_LINES: usize = 4096;
/// The most that they take together.
const RECENT_BYTES: usize = 1 << 20;

/// The last lines of the log of this process.
static RECENT: Mutex<Recent> = Mutex::new(Recent { lines: VecDeque::new(), bytes: 0 });

/// The last lines of a log, the oldest first.
#[derive(Debug)]
struct Recent {
    // Invariant: lines.len() <= RECENT_LINES and bytes <= RECENT_BYTES, but for a single line that is longer
    lines: VecDeque<Box<str>>,
    /// All lines together.
    bytes: usize,
}

/// Takes one line from the layer that writes lines.
#[derive(Debug)]
struct RecentLine;

/// Starts logging for the whole program. `RUST_LOG` chooses what is logged; without it, what an operator wants to know.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let layer = match format {
        LogFormat::Json => fmt::layer().json().with_writer(io::stderr).boxed(),
        LogFormat::Human => human(),
        LogFormat::Auto => journal().unwrap_or_else(human),
    };
    let recent = fmt::layer().with_target(false).with_ansi(false).with_writer(|| RecentLine);
    Registry::default().with(filter).with(layer).with(recent).init();
}

/// The last lines of the log, the oldest first.
pub(crate) fn recent() -> Vec<String> {
    lock(&RECENT).lines.iter().map(ToString::to_string).collect()
}

impl Recent {
    fn push(&mut self, line: &str) {
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line.into());
        while self.lines.len() > RECENT_LINES || self.bytes > RECENT_BYTES && self.lines.len() > 1 {
            let oldest = self.lines.pop_front();
            self.bytes = self.bytes.saturating_sub(oldest.map_or(0, |line| line.len()));
        }
    }
}

// One event is one call: the layer builds the whole line before it writes it.
impl io::Write for RecentLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lock(&RECENT).push(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn human() -> Box<dyn Layer<tracing_subscriber::layer::Layered<EnvFilter, Registry>> + Send + Sync>
{
    use std::io::IsTerminal;
    fmt::layer()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .boxed()
}

/// systemd sets `JOURNAL_STREAM` where standard error goes to the journal.
fn journal()
-> Option<Box<dyn Layer<tracing_subscriber::layer::Layered<EnvFilter, Registry>> + Send + Sync>> {
    std::env::var_os("JOURNAL_STREAM")?;
    tracing_journald::layer().ok().map(Layer::boxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_stay_and_take_no_more_than_their_room() {
        let mut recent = Recent { lines: VecDeque::new(), bytes: 0 };
        (0..RECENT_LINES + 10).for_each(|number| recent.push(&number.to_string()));
        assert_eq!((recent.lines.len(), &*recent.lines[0]), (RECENT_LINES, "10"));
        recent.push(&"x".repeat(RECENT_BYTES / 2));
        recent.push(&"y".repeat(RECENT_BYTES));
        assert_eq!((recent.lines.len(), recent.bytes), (1, RECENT_BYTES));
        recent.push("z");
        assert_eq!((recent.lines.len(), recent.bytes), (1, 1));
    }
}
