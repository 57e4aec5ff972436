//! Where the program is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program under test: what `VTL_BINARY` names, else the `vtl` beside the test executables, which is built if need be.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("VTL_BINARY") {
            return PathBuf::from(path);
        }
        // target/debug/deps/cli-0123456789abcdef
        let test = std::env::current_exe().expect("the test has a path");
        let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
        let path = profile.join(format!("vtl{}", std::env::consts::EXE_SUFFIX));
        if !path.exists() {
            build(profile);
        }
        assert!(path.exists(), "cargo build -p vtl did not make {}", path.display());
        path
    })
}

fn build(profile: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "vtl"]);
    command.arg("--target-dir").arg(profile.parent().expect("target"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "cargo build -p vtl: {status}");
}
