//! Landlock: the wall of the tier without namespaces, and the second one of the full tier.

use crate::harness::probe::{RAW, STATIC};
use crate::harness::{Ran, World, text};
use std::os::fd::AsRawFd as _;

const TIER: [&str; 2] = ["--isolation", "landlock"];

fn bash(world: &World, script: &str) -> Ran {
    world.bash(script).with(TIER).run()
}

#[test]
fn it_stands_where_namespaces_are_forbidden() {
    let world = World::new();
    let shell = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let start = ["unshare", "--user", "--map-root-user", "bash", "-c", shell, "-"];
    let ran = world.bash("echo $GITHUB_TOKEN; cat .env; exit 6").with(TIER).started_by(start).run();
    let ran = ran.expect_code(6);
    ran.assert_nothing_real();
    assert!(ran.text().starts_with("ghp_"), "the variable is synthetic\n{ran}");
    assert!(ran.said().contains(".env: Permission denied"), "{ran}");
    assert_eq!(text(&ran.record.result, "/isolation"), "landlock", "{ran}");
}

#[test]
fn static_programs_and_bare_system_calls_are_refused_a_secret_and_given_the_rest() {
    let world = World::new();
    for (probe, how) in [(&STATIC, "cat"), (&RAW, "openat2")] {
        let program = world.probe(probe);
        let inside = world.project.join("probe");
        std::fs::copy(&program, &inside).expect("copy the probe into the project");
        let run = |path: &std::path::Path| {
            let words = [inside.as_os_str(), how.as_ref(), path.as_os_str()];
            world.shield(words).with(TIER).run()
        };
        for secret in [world.project.join(".env"), world.home.join(".aws/credentials")] {
            let ran = run(&secret);
            ran.assert_nothing_real();
        }
        let plain = world.write("plain.txt", "nothing secret\n");
        assert!(run(&plain).text().contains("nothing secret"), "{}", run(&plain));
    }
}

#[test]
fn the_home_and_other_projects_are_out_of_reach_for_reading_and_writing() {
    let world = World::new();
    let notes = world.home.join("notes.txt");
    let before = std::fs::read(&notes).expect("the notes");
    let ran =
        bash(&world, "cat ~/notes.txt; echo more >> ~/notes.txt; rm -f ~/notes.txt; echo own > own.txt");
    assert!(ran.text().is_empty(), "{ran}");
    assert_eq!(std::fs::read(&notes).expect("the notes"), before);
    assert_eq!(std::fs::read(world.project.join("own.txt")).expect("its own file"), b"own\n");
}

#[test]
fn no_socket_leads_anywhere_and_pairs_work() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let script = format!(
        "import socket\n\
         for family in (socket.AF_INET, socket.AF_UNIX):\n\
         \ttry: socket.socket(family); print('MADE')\n\
         \texcept PermissionError: print('REFUSED')\n\
         a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))\n\
         # {port}\n"
    );
    let ran = world.shield(["/usr/bin/python3", "-c", &script]).with(TIER).run().expect_clean();
    assert_eq!(ran.text(), "REFUSED\nREFUSED\nb'x'\n", "{ran}");
    let connect = format!("import socket; socket.create_connection(('127.0.0.1', {port})); print('MADE')");
    assert_eq!(world.native(["/usr/bin/python3", "-c", &connect]), b"MADE\n");
}

#[test]
fn other_processes_are_neither_signalled_nor_read() {
    let world = World::new();
    let pid = std::process::id();
    let script = format!("kill -0 {pid} && echo SIGNALLED; cat /proc/{pid}/environ; echo done");
    let ran = bash(&world, &script);
    assert_eq!(ran.text(), "done\n", "{ran}");
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", &script])).into_owned();
    assert!(native.starts_with("SIGNALLED\n") && native.len() > "SIGNALLED\ndone\n".len(), "{native}");
}

#[test]
fn its_gaps_are_on_record() {
    let world = World::new();
    let ran = bash(&world, "true").expect_clean();
    let record = std::path::PathBuf::from(text(&ran.record.result, "/record"));
    let run = std::fs::read_to_string(record.join("run.json")).expect("the run's record");
    assert!(run.contains("no namespaces") && run.contains("no sockets but pairs"), "{run}");
}

/// The host's mount behind a descriptor was made read-only by nobody.
#[test]
fn a_kept_descriptor_is_no_way_to_write_a_file_of_the_host() {
    let world = World::new();
    let file = world.home.join("notes.txt");
    let before = std::fs::read(&file).expect("the notes");
    let kept = std::fs::File::open(&file).expect("open the notes");
    let kept = rustix::io::fcntl_dupfd_cloexec(&kept, 60).expect("a descriptor");
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).expect("let it cross");
    let number = kept.as_raw_fd();
    let script = format!("echo more >> /proc/self/fd/{number}; head -c 4 <&{number}");
    let ran = world.bash(&script).with(["--keep-fd", &number.to_string()]).run();
    assert_eq!(ran.stdout, &before[..4], "what was kept can be read\n{ran}");
    assert_eq!(std::fs::read(&file).expect("the notes"), before, "{ran}");
    world.native(["bash", "-c", &script]);
    assert_ne!(std::fs::read(&file).expect("the notes"), before, "without shieldrun it is a way");
}
