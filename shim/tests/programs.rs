//! Real programs run as before with the shim in them, and what they do is said.

#![allow(missing_docs, reason = "a test")]

mod support;

use shieldrun_abi::record::Kind;
use shieldrun_abi::ring::Key;
use support::{Extent, Guest, Treatment, bytes, have, text};

/// One secret variable (index 3), a blocked tree (1), a blocked file (2) and a synthetic one (3).
fn guest() -> Guest {
    let guest = Guest::new(|table, home| {
        table.variable(b"API_TOKEN", 3);
        table.place(bytes(&home.join(".aws")), 1, Treatment::Block, Extent::Tree);
        table.place(bytes(&home.join("project/key.pem")), 2, Treatment::Block, Extent::File);
        table.place(bytes(&home.join("project/.env")), 3, Treatment::Synthetic, Extent::File);
    });
    guest.file(".aws/credentials", "blocked\n");
    guest.file("project/key.pem", "blocked\n");
    guest.file("project/.env", "synthetic\n");
    guest.file("project/plain.txt", "plain\n");
    guest
}

#[test]
fn each_process_introduces_itself() {
    let guest = guest();
    let output = guest.run(guest.command("/usr/bin/env").arg("true").env("LONG", "x".repeat(5000)));
    assert_eq!(text(&output.stderr), "");
    let said = guest.said();
    let started: Vec<_> = said.iter().filter(|said| said.kind == Kind::Started).collect();
    assert_eq!(started.len(), 2, "{said:#?}");
    assert!(started[0].text.ends_with("/env\\x00/usr/bin/env\\x00true\\x00"), "{started:?}");
    assert!(started[1].text.ends_with("/true\\x00true\\x00"), "{started:?}");
    assert_eq!(started[0].pid, started[1].pid, "env execs");
    assert_ne!(started[0].parent, 0);
}

#[test]
fn a_start_is_short_where_the_kernel_tells_of_it() {
    let guest = guest();
    guest.starts_are_told();
    guest.run(guest.command("/usr/bin/env").arg("true"));
    let started = guest.said_of(Kind::Started);
    assert_eq!(started.len(), 2, "{started:#?}");
    assert!(started.iter().all(|said| said.text.is_empty() && said.parent != 0), "{started:#?}");
}

#[test]
fn node_asks_for_a_secret_variable_and_it_is_said() {
    if !have("/usr/bin/node") {
        return;
    }
    let guest = guest();
    let mut node = guest.command("/usr/bin/node");
    node.args(["-e", "console.log(process.env.API_TOKEN, process.env.PLAIN)"]);
    let output = guest.run(node.env("API_TOKEN", "made-up").env("PLAIN", "p"));
    assert_eq!(text(&output.stdout), "made-up p\n");
    let reads = guest.said_of(Kind::EnvRead);
    assert!(!reads.is_empty() && reads.iter().all(|said| said.index == 3), "{reads:#?}");
}

#[test]
fn a_variable_that_is_not_set_is_not_read() {
    if !have("/usr/bin/node") {
        return;
    }
    let guest = guest();
    guest.run(guest.command("/usr/bin/node").args(["-e", "console.log(process.env.API_TOKEN)"]));
    assert_eq!(guest.said_of(Kind::EnvRead), []);
}

#[test]
fn blocked_paths_are_refused_in_every_spelling() {
    let guest = guest();
    std::os::unix::fs::symlink(guest.directory.join(".aws"), guest.directory.join("alias.aws"))
        .expect("a link");
    let home = guest.directory.display();
    for path in [
        ".aws/credentials",
        "./.aws//credentials",
        "project/../.aws/credentials",
        "project/key.pem",
        &format!("{home}/.aws/credentials"),
        &format!("/proc/self/root{home}/.aws/credentials"),
        "/proc/self/cwd/.aws/credentials",
    ] {
        let output = guest.command("cat").arg(path).output().expect("cat");
        assert_eq!(text(&output.stdout), "", "{path}");
        assert!(text(&output.stderr).contains("Permission denied"), "{path}: {}", text(&output.stderr));
        let denied = guest.said_of(Kind::FileDenied);
        assert_eq!(denied.len(), 1, "{path}: {denied:#?}");
        assert_eq!(denied[0].text, path, "as given");
    }
    let listed = guest.command("ls").arg(".aws").output().expect("ls");
    assert!(text(&listed.stderr).contains("Permission denied"));
    let listed = guest.said_of(Kind::DirListed);
    assert_eq!((listed.len(), listed[0].index, listed[0].flags), (1, 1, 2), "{listed:#?}");
}

#[test]
fn what_is_not_masked_opens_as_before() {
    let guest = guest();
    guest.file("other/.env", "another\n");
    guest.file("other/key.pem", "another\n");
    assert_eq!(guest.shell("cat project/plain.txt other/.env other/key.pem"), "plain\nanother\nanother\n");
    assert_eq!(
        guest.shell("cat project/missing/.env 2>&1 || true"),
        "cat: project/missing/.env: No such file or directory\n"
    );
    let said = guest.said();
    assert!(said.iter().all(|said| matches!(said.kind, Kind::Started | Kind::Exec)), "{said:#?}");
}

#[test]
fn synthetic_files_open_and_it_is_said() {
    let guest = guest();
    assert_eq!(guest.shell("cat project/.env"), "synthetic\n");
    let read = guest.said_of(Kind::FileRead);
    assert_eq!((read.len(), read[0].index, read[0].text.as_str()), (1, 3, "project/.env"), "{read:#?}");
}

#[test]
fn the_shim_stays_loaded_when_the_environment_is_cleared() {
    let guest = guest();
    let output = guest.run(guest.command("/usr/bin/env").args(["-i", "A=1", "/usr/bin/env"]));
    assert_eq!(text(&output.stdout), format!("A=1\nLD_PRELOAD={}\n", guest.library.display()));
    let started = guest.said_of(Kind::Started);
    assert_eq!(started.len(), 2, "{started:#?}");
}

#[test]
fn a_preload_of_the_program_is_kept_beside_ours() {
    let guest = guest();
    let other = guest.compile("other.c", &["-shared", "-fPIC"]);
    let other = other.display();
    let script = format!("LD_PRELOAD={other} /usr/bin/env");
    let environment = guest.shell(&script);
    let expected = format!("LD_PRELOAD={}:{other}\n", guest.library.display());
    assert!(environment.contains(&expected), "{environment}");
}

#[test]
fn every_program_at_hand_still_works() {
    let guest = guest();
    let programs: [(&str, &[&str], &str); 9] = [
        (
            "/usr/bin/python3",
            &[
                "-c",
                "import ssl, subprocess; print(subprocess.run(['echo', 'py'], capture_output=True, text=True).stdout)",
            ],
            "py",
        ),
        (
            "/usr/bin/node",
            &["-e", "require('child_process').execFileSync('true'); console.log('node')"],
            "node",
        ),
        ("/bin/bash", &["-c", "x=$(echo bash | cat); echo $x"], "bash"),
        ("/usr/bin/perl", &["-e", "print `echo perl`"], "perl"),
        ("/usr/bin/git", &["init", "-q", "repo"], ""),
        ("/usr/bin/curl", &["--version"], "curl"),
        ("/usr/bin/java", &["-version"], ""),
        ("/usr/bin/find", &[".", "-maxdepth", "1", "-name", "table"], "table"),
        ("/usr/bin/awk", &["BEGIN { \"echo awk\" | getline x; print x }"], "awk"),
    ];
    for (program, arguments, expected) in programs {
        if !have(program) {
            continue;
        }
        let output = guest.run(guest.command(program).args(arguments));
        assert!(text(&output.stdout).contains(expected), "{program}: {}", text(&output.stdout));
        let started = guest.said_of(Kind::Started);
        assert!(!started.is_empty(), "{program} has no shim in it");
    }
    assert_eq!(guest.dropped(), 0);
}

#[test]
fn python_goes_somewhere_and_it_is_said() {
    if !have("/usr/bin/python3") {
        return;
    }
    let guest = guest();
    let script = "
import socket
s = socket.socket()
try: s.connect(('127.0.0.1', 9))
except OSError: pass
u = socket.socket(socket.AF_UNIX)
try: u.connect('/nowhere.sock')
except OSError: pass
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(50): d.sendto(b'x', ('127.0.0.1', 9))
socket.getaddrinfo('localhost', 80)
";
    guest.run(guest.command("/usr/bin/python3").args(["-c", script]));
    let said = guest.said();
    let of = |kind| said.iter().filter(|said| said.kind == kind).collect::<Vec<_>>();
    let connects = of(Kind::Connect);
    assert!(connects[0].text.starts_with("\\x02\\x00\\x00\\t\\x7f\\x00\\x00\\x01"), "{connects:#?}");
    assert!(connects[1].text.starts_with("\\x01\\x00/nowhere.sock"), "{connects:#?}");
    assert_eq!(of(Kind::Send).len(), 1, "{said:#?}");
    assert_eq!(of(Kind::Resolve)[0].text, "localhost");
}

#[test]
fn a_loop_of_reads_is_said_once_and_counted() {
    let guest = guest();
    let program = guest.compile("loop.c", &[]);
    let output = guest.run(guest.command(program).args(["API_TOKEN", "200000"]).env("API_TOKEN", "made-up"));
    let reads = guest.said_of(Kind::EnvRead);
    assert_eq!(reads.len(), 1, "{reads:#?}");
    let key = Key { pid: reads[0].pid, kind: Kind::EnvRead, index: 3 };
    assert_eq!(guest.count(key), 199_999, "{}", text(&output.stdout));
    assert_eq!(guest.dropped(), 0);
}

#[test]
fn without_table_and_ring_it_is_inert_but_stays() {
    let guest = guest();
    for file in ["table", "ring"] {
        std::fs::remove_file(guest.directory.join(file)).expect("removed");
    }
    assert_eq!(guest.shell("cat .aws/credentials"), "blocked\n");
    let output = guest.run(guest.command("/usr/bin/env").args(["-i", "/usr/bin/env"]));
    assert_eq!(text(&output.stdout), format!("LD_PRELOAD={}\n", guest.library.display()));
    assert_eq!(guest.said(), []);
}

#[test]
fn a_damaged_table_or_ring_is_none() {
    let guest = guest();
    std::fs::write(guest.directory.join("table"), [b'x'; 3000]).expect("written");
    std::fs::write(guest.directory.join("ring"), b"short").expect("written");
    assert_eq!(guest.shell("cat .aws/credentials"), "blocked\n");
}
