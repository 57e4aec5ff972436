//! Where in the sources a call of the seam was made.

use std::backtrace::Backtrace;

use super::plan::Call;

/// A place in the sources of this crate that calls a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The file, below the crate's `src`.
    pub file: String,
    /// The line on which the expression begins that makes the call.
    pub line: u32,
    /// What is called.
    pub call: Call,
}

/// The nearest caller in this crate outside of the seam itself. A trait object hides `#[track_caller]`, so the stack has to
/// say; that is slow, and therefore only asked when a call is made to fail. `None` where the calls of this crate were left
/// out of the debug information.
pub(super) fn caller(call: Call) -> Option<Site> {
    let frames = format!("{:?}", Backtrace::force_capture());
    // Names below the current directory are given without it.
    let here = std::env::current_dir().unwrap_or_default();
    frames.split("{ fn: ").find_map(|frame| {
        let file = here.join(field(frame, "file: \"", "\"")?.trim_start_matches("./"));
        let file = file.to_str()?.rsplit_once(SOURCES)?.1.to_owned();
        let line = field(frame, "line: ", " ")?.trim_end_matches([',', '}', ']']).parse().ok()?;
        let is_seam = file.starts_with("disk");
        (!is_seam).then_some(Site { file, line, call })
    })
}

fn field<'a>(frame: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let rest = frame.split_once(before)?.1;
    Some(rest.split_once(behind).map_or(rest, |(field, _)| field))
}

const SOURCES: &str = "media/src/";
