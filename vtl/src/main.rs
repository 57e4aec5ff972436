//! The program `vtl`; everything of it is in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    vtl::command_line()
}
