//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Between two looks on a terminal.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Between two lines elsewhere.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows progress on standard error until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to ask how far it is.
    pub(crate) fn start(progress: impl Fn() -> Option<Value> + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let spawned = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut display = Display::new();
            while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Some(progress) = progress() {
                    display.show(&progress);
                }
            }
            display.bar.finish_and_clear();
        });
        // Without the thread the work is done all the same.
        Self { stop: Some(stop), thread: spawned.ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("vtl: the progress display ended in disorder");
        }
    }
}

struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    next_line: Instant,
}

impl Display {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, is_terminal, next_line: Instant::now() + LINE_INTERVAL }
    }

    fn show(&mut self, progress: &Value) {
        let Some(row) = progress.as_array().and_then(|rows| rows.first()) else { return };
        let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or(0);
        let barcode = row.get("barcode").and_then(Value::as_str).unwrap_or_default();
        let (done, total) = (number("done_bytes"), number("total_bytes"));
        if self.is_terminal {
            self.bar.set_message(barcode.to_owned());
            self.bar.set_length(total);
            self.bar.set_position(done);
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            let rate = number("bytes_per_second");
            let left = total.saturating_sub(done).checked_div(rate).unwrap_or(0);
            eprintln!(
                "{barcode}: {} of {} MB, {} MB/s, {left} s left",
                done / 1_000_000,
                total / 1_000_000,
                rate / 1_000_000
            );
        }
    }
}
