//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
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
            display.clear();
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

/// One line for each drive.
struct Display {
    lines: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    is_terminal: bool,
    next_line: Instant,
}

impl Display {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let lines = MultiProgress::new();
        Self {
            lines,
            bars: BTreeMap::new(),
            is_terminal,
            next_line: Instant::now() + LINE_INTERVAL,
        }
    }

    fn show(&mut self, progress: &Value) {
        let rows: Vec<Line> = progress.as_array().into_iter().flatten().map(Line::of).collect();
        if self.is_terminal {
            self.show_bars(&rows);
        } else if Instant::now() >= self.next_line && !rows.is_empty() {
            self.next_line = Instant::now() + LINE_INTERVAL;
            for row in &rows {
                eprintln!("{}", row.text());
            }
        }
    }

    fn show_bars(&mut self, rows: &[Line]) {
        let is_there = |name: &String| rows.iter().any(|row| row.name == *name);
        for (_, bar) in self.bars.extract_if(.., |name, _| !is_there(name)) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        for row in rows {
            let bar =
                self.bars.entry(row.name.clone()).or_insert_with(|| self.lines.add(new_bar(row)));
            bar.set_length(row.total);
            bar.set_position(row.done);
        }
    }

    fn clear(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(row: &Line) -> ProgressBar {
    let bar = ProgressBar::new(row.total).with_message(row.name.clone());
    let style = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// How far one of them is.
struct Line {
    name: String,
    done: u64,
    total: u64,
    rate: u64,
}

impl Line {
    fn of(row: &Value) -> Self {
        let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or(0);
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let barcode = text("barcode").unwrap_or_default();
        let name = match text("drive") {
            Some(drive) => format!("{barcode} {drive}"),
            None => barcode.to_owned(),
        };
        let (done, total) = (number("done_bytes"), number("total_bytes"));
        Self { name, done, total, rate: number("bytes_per_second") }
    }

    fn text(&self) -> String {
        let Self { name, done, total, rate } = self;
        let left = total.saturating_sub(*done).checked_div(*rate).unwrap_or(0);
        format!(
            "{name}: {} of {} MB, {} MB/s, {left} s left",
            done / 1_000_000,
            total / 1_000_000,
            rate / 1_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two drives wrote, and the line was that of the first alone.
    #[test]
    fn each_drive_has_a_line() {
        let row = |barcode: &str, drive: Option<&str>| json!({ "barcode": barcode, "drive": drive, "total_bytes": 9_000_000, "done_bytes": 3_000_000, "bytes_per_second": 2_000_000 });
        let texts = [row("A1", Some("/dev/nst0")), row("A2", Some("/dev/nst1")), row("A3", None)];
        let texts = texts.map(|row| Line::of(&row).text());
        assert_eq!(texts[0], "A1 /dev/nst0: 3 of 9 MB, 2 MB/s, 3 s left");
        assert!(texts[1].starts_with("A2 /dev/nst1: ") && texts[2].starts_with("A3: "));

        let mut display = Display::new();
        let line = |name: &str| Line { name: name.to_owned(), done: 1, total: 2, rate: 0 };
        display.show_bars(&[line("A1"), line("A2")]);
        display.show_bars(&[line("A2"), line("A3")]);
        assert_eq!(display.bars.keys().collect::<Vec<_>>(), ["A2", "A3"]);
    }
}
