//! Every hooked function, called from C: the same results and the same `errno` with the shim as without it,
//! but for what is masked; and what was done is said.

#![allow(missing_docs, reason = "a test")]

mod support;

use std::process::Command;

use shieldrun_abi::record::Kind;
use support::{Extent, Guest, Treatment, bytes, text};

fn guest() -> Guest {
    let guest = Guest::new(|table, home| {
        table.variable(b"MARK", 1);
        table.place(bytes(&home.join("blocked")), 5, Treatment::Block, Extent::Tree);
        table.place(bytes(&home.join("synthetic/.env")), 6, Treatment::Synthetic, Extent::File);
    });
    for path in ["plain/file", "plain/x/y", "blocked/file", "blocked/x/y", "synthetic/.env", "synthetic/x/y"]
    {
        guest.file(path, "text\n");
    }
    guest
}

fn run(guest: &Guest, hooked: bool, arguments: &[&str]) -> String {
    let program = guest.directory.join("families");
    let mut command: Command = guest.command(program);
    command.args(arguments).env("MARK", "inherited");
    if !hooked {
        command.env_remove("LD_PRELOAD");
    }
    text(&guest.run(&mut command).stdout)
}

#[test]
fn nothing_changes_for_a_program_that_touches_no_mask() {
    let guest = guest();
    guest.compile("families.c", &[]);
    let arguments = ["plain/file", "plain"].map(|path| guest.directory.join(path).display().to_string());
    let arguments = arguments.each_ref().map(String::as_str);
    let native = run(&guest, false, &arguments);
    let hooked = run(&guest, true, &arguments);
    assert_eq!(native, hooked);
    assert!(native.contains("[10] 1 9 10 given"), "the program does what it is for: {native}");
    let said = guest.said();
    let of = |kind| said.iter().filter(|said| said.kind == kind).count();
    assert_eq!((of(Kind::FileDenied), of(Kind::FileRead), of(Kind::DirListed)), (0, 0, 0));
    assert!(of(Kind::EnvRead) >= 1);
    // Five addresses; of the two datagrams to one place the second is counted.
    assert_eq!((of(Kind::Connect), of(Kind::Send), of(Kind::Resolve)), (2, 1, 1), "{said:#?}");
    let execs: Vec<_> =
        said.iter().filter(|said| said.kind == Kind::Exec).map(|said| said.text.as_str()).collect();
    for path in ["/bin/sh", "sh", "/nowhere/at/all", "nowhere-at-all", "/"] {
        assert!(execs.contains(&path), "{path} in {execs:?}");
    }
    // Fifteen children, two spawned, three shells (`system(NULL)` runs one too), the one after vfork.
    let started =
        said.iter().filter(|said| said.kind == Kind::Started).filter(|said| said.text.contains("sh\\x00"));
    assert_eq!(started.count(), 21, "{said:#?}");
}

#[test]
fn a_blocked_tree_gives_eacces_to_each_of_them() {
    let guest = guest();
    guest.compile("families.c", &[]);
    let arguments = ["blocked/file", "blocked"].map(|path| guest.directory.join(path).display().to_string());
    let hooked = run(&guest, true, &[&arguments[0], &arguments[1], "only"]);
    for line in
        hooked.lines().filter(|line| !line.starts_with("getenv") && !line.starts_with("secure_getenv"))
    {
        let expected = match line {
            // Nothing can be read through it.
            line if line.starts_with("open(path, O_PATH)") => "yes 77",
            // Not masked as far as anybody can tell: `at` could not be opened, so there is no directory.
            line if line.contains("(at, name") || line.contains("(-5, name") => "no 9",
            _ => "no 13",
        };
        assert!(line.ends_with(expected), "{line}: not {expected}");
    }
    let said = guest.said();
    assert!(said.iter().any(|said| said.kind == Kind::FileDenied && said.index == 5));
    assert!(said.iter().any(|said| said.kind == Kind::DirListed && said.index == 5));
    assert_eq!(std::fs::read_to_string(&arguments[0]).expect("the file"), "text\n", "not truncated");
}

#[test]
fn a_synthetic_file_opens_as_it_is() {
    let guest = guest();
    guest.compile("families.c", &[]);
    let arguments =
        ["synthetic/.env", "synthetic"].map(|path| guest.directory.join(path).display().to_string());
    let arguments = [&arguments[0], &arguments[1], "only"];
    let native = run(&guest, false, &arguments);
    let hooked = run(&guest, true, &arguments);
    assert_eq!(native, hooked);
    let read = guest.said_of(Kind::FileRead);
    assert_eq!((read.len(), read[0].index), (1, 6), "{read:#?}");
}
