//! The shim where it is hard: threads, forks and signals at once, before constructors ran, closed descriptors,
//! huge environments, other allocators, a ring that nobody drains.

#![allow(missing_docs, reason = "a test")]

mod support;

use std::process::{Command, Stdio};

use shieldrun_abi::record::Kind;
use shieldrun_abi::ring::{Key, SLOTS};
use support::{Extent, Guest, Treatment, bytes, have, shim, text};

fn guest() -> Guest {
    let guest = Guest::new(|table, home| {
        table.variable(b"API_TOKEN", 3);
        table.place(bytes(&home.join(".aws")), 1, Treatment::Block, Extent::Tree);
    });
    guest.file(".aws/credentials", "blocked\n");
    guest
}

#[test]
fn the_library_needs_nothing_but_these() {
    if !have("/usr/bin/nm") {
        return;
    }
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(shim()).output().expect("nm");
    let names = text(&output.stdout);
    let needed = names.lines().filter_map(|line| line.split_whitespace().last()?.split('@').next());
    let allowed = [
        "environ",
        "__environ",
        "__errno_location",
        "dlsym",
        "strnlen",
        "memcpy",
        "memmove",
        "memset",
        "bcmp",
    ];
    let weak =
        ["_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__cxa_finalize", "__gmon_start__"];
    let rest: Vec<_> = needed.filter(|name| !allowed.contains(name) && !weak.contains(name)).collect();
    assert_eq!(rest, [""; 0], "a heap, a panic or a lock came in");
}

#[test]
fn threads_forks_and_signals_at_once() {
    let guest = guest();
    let program = guest.compile("stress.c", &[]);
    let mut command = guest.command(program);
    let output = guest.run(command.arg(".aws/credentials").env("API_TOKEN", "made-up"));
    assert_eq!(text(&output.stdout), "right, handled some\n");
    let said = guest.said();
    let parent = said[0].pid;
    for (kind, index) in [(Kind::EnvRead, 3), (Kind::FileDenied, 1)] {
        let first: Vec<_> = said.iter().filter(|said| said.kind == kind && said.pid == parent).collect();
        assert_eq!(first.len(), 1, "{first:#?}");
        assert!(guest.count(Key { pid: parent, kind, index }) >= 4 * 300 - 1);
    }
    // A forked child says who it is before what it does.
    let child = said.iter().find(|said| said.kind == Kind::EnvRead && said.pid != parent).expect("a child");
    let own: Vec<_> = said.iter().filter(|said| said.pid == child.pid).map(|said| said.kind).collect();
    assert_eq!(own[0], Kind::Started, "{own:?}");
    let introduced = said.iter().find(|said| said.pid == child.pid).expect("a child");
    assert!(introduced.text.ends_with("/stress\\x00.aws/credentials\\x00"), "{introduced:?}");
    assert_eq!(introduced.parent, parent);
    assert_eq!(guest.dropped(), 0);
}

#[test]
fn a_library_that_begins_before_the_program_finds_it_at_work() {
    let guest = guest();
    let early = guest.compile("early.c", &["-shared", "-fPIC"]);
    for order in [[&early, &guest.library], [&guest.library, &early]] {
        let preload = order.map(|path| path.display().to_string()).join(":");
        let mut command = guest.command("/bin/true");
        let output = guest.run(command.env("LD_PRELOAD", preload).env("API_TOKEN", "made-up"));
        assert_eq!(text(&output.stdout), "early yes 1\n");
        let reads = guest.said_of(Kind::EnvRead);
        assert_eq!(reads.len(), 1, "{reads:#?}");
    }
}

#[test]
fn no_descriptor_of_ours_is_open_and_none_takes_the_place_of_a_stream() {
    let guest = guest();
    let program = guest.compile("descriptors.c", &[]);
    guest.run(guest.command(program).env("API_TOKEN", "made-up"));
    assert_eq!(guest.said_of(Kind::EnvRead).len(), 1);
}

#[test]
fn large_environments_cross_an_exec_unchanged() {
    let guest = guest();
    let script = "import os\nenv = {f'V{i}': 'x' * WIDTH for i in range(COUNT)}\nos.execve('/usr/bin/env', ['env'], env)\n";
    if !have("/usr/bin/python3") {
        return;
    }
    // Few, many, more than are copied (those go on unchanged, without us), and 1.5 MiB of them.
    for (count, width, kept) in
        [(10, 5, true), (600, 5, true), (10_000, 5, true), (20_000, 5, false), (1500, 1000, true)]
    {
        let script = script.replace("WIDTH", &width.to_string()).replace("COUNT", &count.to_string());
        let output = guest.run(guest.command("/usr/bin/python3").args(["-c", &script]));
        let lines = text(&output.stdout);
        let ours = lines.lines().filter(|line| line.starts_with("LD_PRELOAD=")).count();
        assert_eq!(ours, usize::from(kept), "{count}");
        let rest: Vec<_> = lines.lines().filter(|line| !line.starts_with("LD_PRELOAD=")).collect();
        let expected: Vec<_> = (0..count).map(|i| format!("V{i}={}", "x".repeat(width))).collect();
        assert_eq!(rest, expected);
    }
}

#[test]
fn odd_bytes_in_arguments_and_environment_pass() {
    let guest = guest();
    let output = guest.shell("env -i \"$(printf 'A\\377\\001=\\n\\376')\" /usr/bin/printenv -0 | od -An -c");
    let expected = "A 377 001 = \\n 376 \\0";
    assert!(output.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(expected), "{output}");
}

#[test]
fn a_ring_that_nobody_drains_stops_no_one_and_is_counted() {
    let guest = guest();
    guest.fill(SLOTS - 3);
    assert_eq!(guest.shell("for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done; echo done"), "done\n");
    assert_eq!(guest.said().len(), SLOTS);
    // The shell and ten programs start, and each of those is told by an exec as well.
    assert_eq!(guest.dropped(), 1 + 10 + 10 - 3);
}

#[test]
fn another_allocator_is_no_matter() {
    let allocators =
        ["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"];
    let Some(allocator) = allocators.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no jemalloc here (package libjemalloc2), and CI skips nothing"
        );
        eprintln!("skipped: no jemalloc here (package libjemalloc2)");
        return;
    };
    let guest = guest();
    for order in [
        format!("{allocator}:{}", guest.library.display()),
        format!("{}:{allocator}", guest.library.display()),
    ] {
        let mut command = guest.command("/usr/bin/env");
        let output =
            guest.run(command.arg("ls").env("LD_PRELOAD", order).env("MALLOC_CONF", "confirm_conf:true"));
        assert!(text(&output.stdout).contains("libshieldrun.so"));
        assert!(guest.said_of(Kind::Started).len() >= 2);
    }
}

#[test]
fn a_closed_standard_stream_stays_closed() {
    let guest = guest();
    let mut command = guest.command("/bin/sh");
    let status = command.args(["-c", "exec 0<&- 1>&- 2>&-; exec /bin/sh -c '[ ! -e /proc/self/fd/0 ]'"]);
    assert!(status.stdout(Stdio::null()).status().expect("sh").success());
}
