//! Builds what the launcher carries inside itself: the preload shim and the guest's init.
//!
//! Cargo does not build a cdylib of another workspace member for us, and an installed `shieldrun` must be one file.
//! So the shim is built by a nested cargo into a target directory of its own (cargo holds a lock on the outer one),
//! and the init by a direct call of rustc. `guest.rs` embeds both from `OUT_DIR`.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(var("OUT_DIR")?);
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().ok_or("the launcher is not in a workspace")?;
    build_shim(workspace, &out)?;
    build_freestanding(&manifest, &out, "init")?;
    build_freestanding(&manifest, &out, "prober")
}

fn build_shim(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    for source in ["shim/src", "shim/abi/src", "shim/Cargo.toml", "shim/abi/Cargo.toml", "shim/build.rs"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    for source in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let target = var("TARGET")?;
    let directory = out.join("shim-target");
    let mut cargo = Command::new(var("CARGO")?);
    // Flags and wrappers that suit the outer build (sanitizers, coverage, clippy, `-C target-cpu`) do not suit a
    // library that is loaded into other people's programs.
    for (name, _) in env::vars_os() {
        if is_of_the_outer_build(&name) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(workspace)
        .args(["build", "--profile", "shim", "--package", "shieldrun-shim"])
        .args(["--target", &target.to_string_lossy()])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTC", var("RUSTC")?);
    run(&mut cargo, "the preload shim")?;
    let built = directory.join(&target).join("shim/libshieldrun_shim.so");
    copy_if_changed(&built, &out.join("libshieldrun.so"))
}

/// Programs for the inside: static, without libc or std. Process 1 is one, so that it maps nothing of the
/// guest's; the self-test's prober is another, so that no preload reaches it.
fn build_freestanding(manifest: &Path, out: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let source = manifest.join("src/sys").join(name).join("main.rs");
    println!("cargo::rerun-if-changed={}", source.parent().unwrap_or(manifest).display());
    let mut rustc = Command::new(var("RUSTC")?);
    rustc
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", name])
        .arg("--target")
        .arg(var("TARGET")?)
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=s",
            "-C",
            "relocation-model=static",
            "-C",
            "strip=symbols",
        ])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .arg("-o")
        .arg(out.join(name))
        .arg(source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = OsString::from("linker=");
        argument.push(linker);
        rustc.arg("-C").arg(argument);
    }
    run(&mut rustc, name)
}

/// Whether a variable belongs to the outer build. `CARGO_HOME` and what says where crates come from and how they
/// are fetched stay, as does the target's linker.
fn is_of_the_outer_build(name: &OsString) -> bool {
    let Some(name) = name.to_str() else { return false };
    let stays = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    let is_linker = name.starts_with("CARGO_TARGET_") && name.ends_with("_LINKER");
    let is_cargo =
        name.starts_with("CARGO_") && !is_linker && !stays.iter().any(|stay| name.starts_with(stay));
    let is_rust =
        ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "RUSTDOCFLAGS", "CLIPPY_ARGS"]
            .contains(&name)
            || name.starts_with("CLIPPY_");
    let is_script = ["OUT_DIR", "TARGET", "HOST", "PROFILE", "DEBUG", "OPT_LEVEL", "NUM_JOBS", "LD_PRELOAD"];
    // A jobserver of the outer cargo is meant for us as well: MAKEFLAGS and CARGO_MAKEFLAGS stay.
    (is_cargo && name != "CARGO_MAKEFLAGS") || is_rust || is_script.contains(&name)
}

fn run(command: &mut Command, what: &str) -> Result<(), Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("cannot build {what} ({}):\n{said}", output.status).into())
}

/// An unchanged file keeps its time, so that what embeds it is not built again.
fn copy_if_changed(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let built = fs::read(from).map_err(|error| format!("cannot read `{}`: {error}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == built) {
        return Ok(());
    }
    fs::write(to, built).map_err(|error| format!("cannot write `{}`: {error}", to.display()).into())
}

fn var(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set `{name}`").into())
}
