//! What the kernel holds back: each denial beside a twin that shows the attempt itself works.

use crate::harness::host::{inside, memory, mounts, soon};
use crate::harness::probe::{ESCAPE, STATIC};
use crate::harness::{PYTHON, World, put};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn every_namespace_is_another_one() {
    let world = World::new();
    let script = "for n in user mnt pid net ipc uts; do readlink /proc/self/ns/$n; done";
    let native = String::from_utf8(world.native(["bash", "-c", script])).expect("text");
    let ran = world.bash(script).run().expect_clean();
    assert_eq!(native.lines().count(), 6);
    for (outside, inside) in native.lines().zip(ran.text().lines()) {
        assert_ne!(outside, inside, "{ran}");
    }
}

#[test]
fn only_loopback_exists_and_is_up() {
    let world = World::new();
    let ran = world.bash("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").run();
    ran.expect_clean().expect_text("lo\n");
    let script = "import socket\n\
        s=socket.create_server(('127.0.0.1',0)); c=socket.create_connection(s.getsockname(),5)\n\
        s.accept()[0].sendall(b'through'); print(c.recv(99).decode())";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("through\n");
    let script = "import socket,errno\n\
        try: socket.create_connection(('192.0.2.1',80),5); print('ALLOWED')\n\
        except OSError as e: print('BLOCKED',errno.errorcode[e.errno])";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("BLOCKED ENETUNREACH\n");
}

#[test]
fn a_service_of_the_host_on_loopback_is_not_reached() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let script = format!("exec 2>/dev/null; : < /dev/tcp/127.0.0.1/{port} && echo ALLOWED || echo BLOCKED");
    assert_eq!(world.native(["bash", "-c", &script]), b"ALLOWED\n");
    world.bash(&script).run().expect_clean().expect_text("BLOCKED\n");
}

#[test]
fn the_hosts_unix_sockets_are_not_reached() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    let path = tempfile::Builder::new().prefix("agent-").tempdir_in("/tmp").expect("a directory");
    let socket = path.path().join("agent.sock");
    let _listener = UnixListener::bind(&socket).expect("listen");
    let words = [probe.as_os_str(), "connect".as_ref(), socket.as_os_str()];
    assert_eq!(world.native(words), b"ALLOWED\n");
    let ran = world.shield(words).run().expect_clean();
    assert!(ran.text().starts_with("BLOCKED"), "{ran}");

    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("shieldrun-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("listen");
    let words = [probe.as_os_str(), "connect-abstract".as_ref(), name.as_ref()];
    assert_eq!(world.native(words), b"ALLOWED\n");
    let ran = world.shield(words).run().expect_clean();
    assert!(ran.text().starts_with("BLOCKED"), "{ran}");
}

#[test]
fn the_hosts_sockets_on_visible_paths_are_not_reached() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    for place in
        [world.home.join("agent.sock"), world.project.join("docker.sock"), world.beside("far").join("s")]
    {
        let _listener = UnixListener::bind(&place).expect("listen");
        let words = [probe.as_os_str(), "connect".as_ref(), place.as_os_str()];
        assert_eq!(world.native(words), b"ALLOWED\n");
        let ran = world.shield(words).run().expect_clean();
        assert!(ran.text().starts_with("BLOCKED"), "{place:?}\n{ran}");
    }
    // The twin: sockets of the run's own work.
    let script = "import socket,os; s=socket.socket(socket.AF_UNIX); s.bind('own'); s.listen(); \
        c=socket.socket(socket.AF_UNIX); c.connect('own'); print('connected'); os.unlink('own')";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("connected\n");
}

/// A process inside, and something of the host's that it has open.
fn holds(launcher: u32) -> Option<String> {
    let mut read = 0;
    let mut found = None;
    for pid in inside(launcher) {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            read += 1;
            // What a link of a descriptor names, seen from here: a path means a file of some mount.
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let plain = target.to_string_lossy().starts_with('/');
            let directory = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
            if plain && (directory || !target.starts_with("/dev")) {
                found = Some(format!("process {pid} holds {target:?}"));
            }
        }
    }
    assert!(read > 0, "no descriptor could be looked at: the test would prove nothing");
    found
}

#[test]
fn no_process_inside_holds_a_directory_of_the_host() {
    let world = World::new();
    let shell = "exec 8</ 9</etc; exec \"$@\"";
    let mut running = world.bash("echo ready; cat").started_by(["bash", "-c", shell, "-"]).start();
    running.await_text("ready");
    // A program that just starts has a file of its own open for a moment: what is held stays.
    let mut held = None;
    let nothing = soon(|| {
        held = holds(running.pid());
        held.is_none()
    });
    assert!(nothing, "{held:?}");
    drop(running.wait());
}

#[test]
fn only_its_own_processes_are_seen() {
    let world = World::new();
    let ran =
        world.bash("ls /proc | grep -c '^[0-9]'; cat /proc/self/status | grep ^NSpid").run().expect_clean();
    let count: u32 = ran.text().lines().next().and_then(|line| line.parse().ok()).unwrap_or(0);
    assert!((2..10).contains(&count), "{ran}");
    let own = std::process::id();
    let ran = world.bash(&format!("kill -0 {own} && echo ALLOWED || echo BLOCKED")).run();
    ran.expect_clean().expect_text("BLOCKED\n");
    assert_eq!(world.native(["bash", "-c", &format!("kill -0 {own} && echo ALLOWED")]), b"ALLOWED\n");
}

#[test]
fn tmp_and_run_are_private() {
    let world = World::new();
    let marker = tempfile::Builder::new().prefix("shieldrun-marker-").tempfile_in("/tmp").expect("a file");
    let script = "ls -A /tmp /run | grep marker; echo mine > /tmp/mine && cat /tmp/mine; stat -c %a /tmp";
    world.bash(script).run().expect_clean().expect_text("mine\n1777\n");
    assert!(marker.path().exists());
    assert!(!Path::new("/tmp/mine").exists());
}

#[test]
fn dev_is_minimal_and_works() {
    let world = World::new();
    let ran =
        world.bash("ls /dev; head -c 8 /dev/urandom | wc -c; echo x > /dev/null; ls /dev/pts /dev/shm").run();
    let ran = ran.expect_clean();
    for name in ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin"] {
        assert!(ran.text().lines().any(|line| line == name), "/dev/{name} is missing\n{ran}");
    }
    let script = "for f in /dev/*; do [ -b $f ] && echo block $f; done; ls -d /dev/mem /dev/kmsg /dev/vda /dev/sda 2>/dev/null; true";
    world.bash(script).run().expect_clean().expect_text("");
    let script = "import pty,os; m,s=pty.openpty(); os.write(s,b'ok'); print(os.read(m,9).decode())";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("ok\n");
}

#[test]
fn the_root_is_read_only_even_where_the_user_could_write() {
    let world = World::new();
    let outside = world.beside("outside");
    let script = format!("echo x > {}/made && echo ALLOWED || echo BLOCKED", outside.display());
    assert_eq!(world.native(["bash", "-c", &script]), b"ALLOWED\n");
    fs::remove_file(outside.join("made")).expect("remove");
    world.bash(&script).run().expect_clean().expect_text("BLOCKED\n");
    assert!(!outside.join("made").exists());
    let ran =
        world.bash("exec 2>&1; echo 1 > /proc/sys/kernel/printk; echo 1 > /sys/kernel/profiling; true").run();
    let ran = ran.expect_clean();
    assert_eq!(ran.text().lines().count(), 2, "both should be refused\n{ran}");
}

#[test]
fn nobody_inside_has_privileges() {
    let world = World::new();
    let script = "grep -E '^(NoNewPrivs|Cap(Inh|Prm|Eff|Amb)):' /proc/self/status | tr -d '\\t'";
    let ran = world.bash(script).run().expect_clean();
    let none = "0".repeat(16);
    let text = ran.text();
    assert_eq!(
        text,
        format!("CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapAmb:{none}\nNoNewPrivs:1\n"),
        "{ran}"
    );
    let ran = world.bash("grep -hE '^CapEff' /proc/[0-9]*/status | sort -u | tr -d '\\t'").run();
    ran.expect_clean().expect_text(&format!("CapEff:{none}\n"));
}

#[test]
fn uid_and_gid_are_kept() {
    let world = World::new();
    let native = world.native(["bash", "-c", "id -u; id -g"]);
    let ran = world.bash("id -u; id -g").run().expect_clean();
    assert_eq!(ran.stdout, native, "{ran}");
    world.bash("echo x > owned; exec stat -c '%u %g' owned").run().expect_clean();
    let (made, project) = (fs::metadata(world.project.join("owned")), fs::metadata(&world.project));
    let (made, project) = (made.expect("stat"), project.expect("stat"));
    assert_eq!((made.uid(), made.gid()), (project.uid(), project.gid()));
}

#[test]
fn more_cannot_be_had() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    let probe = probe.to_str().expect("plain");
    let target = world.project.to_str().expect("plain");
    for words in [
        vec!["mount", target],
        vec!["bind", target],
        vec!["umount", target],
        vec!["open-tree", target],
        vec!["chroot", target],
        vec!["unshare-mount"],
        vec!["setns"],
        vec!["hostname"],
        vec!["raw-socket"],
    ] {
        // The twin: the same attempt by the mighty one of a namespace of its own.
        let twin = [vec!["unshare", "-Urmpfinu", probe], words.clone()].concat();
        let mask = words[0] == "umount";
        assert!(mask || world.native(&twin) == b"ALLOWED\n", "the twin of {words:?} should be allowed");
        let ran = world.shield([vec![probe], words.clone()].concat()).run().expect_clean();
        assert!(ran.text().starts_with("BLOCKED"), "{words:?}\n{ran}");
    }
}

#[test]
fn nested_user_namespaces_are_denied() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    for attempt in ["unshare-user", "clone-user", "clone3-user"] {
        let words = [probe.as_os_str(), attempt.as_ref()];
        assert_eq!(world.native(words), b"ALLOWED\n", "{attempt}");
        let ran = world.shield(words).run().expect_clean();
        assert!(ran.text().starts_with("BLOCKED"), "{attempt}\n{ran}");
    }
}

#[test]
fn a_mask_cannot_be_lifted() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    let script = format!(
        "exec 2>/dev/null
         for p in .env ~/.ssh ~/.ssh/id_rsa ~/.aws/credentials ~/.aws; do
           {0} umount $p; unshare -Urm {0} umount $p; unshare -Urm umount -l $p
         done
         cat .env ~/.ssh/id_rsa ~/.aws/credentials
         unshare -Urm bash -c 'umount -l .env; cat .env; umount -l ~/.ssh; cat ~/.ssh/id_rsa; umount -l ~/.aws/credentials; cat ~/.aws/credentials'
         true",
        probe.display()
    );
    let ran = world.bash(&script).run().expect_clean();
    assert!(!ran.text().contains("ALLOWED"), "{ran}");
}

#[test]
fn io_uring_and_the_kernels_keyrings_are_denied() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    for attempt in ["io-uring", "keyctl"] {
        let words = [probe.as_os_str(), attempt.as_ref()];
        assert_eq!(world.native(words), b"ALLOWED\n", "{attempt}");
        let ran = world.shield(words).run().expect_clean();
        assert!(ran.text().starts_with("BLOCKED"), "{attempt}\n{ran}");
    }
}

#[test]
fn a_file_handle_opens_nothing() {
    let world = World::new();
    let words =
        [world.probe(&ESCAPE).into_os_string(), "handle".into(), world.home.join(".ssh/id_rsa").into()];
    let ran = world.shield(&words).run().expect_clean();
    assert!(ran.text().starts_with("BLOCKED"), "{ran}");
    if rustix::process::geteuid().is_root() {
        assert_eq!(world.native(&words), b"ALLOWED\n");
    }
}

#[test]
fn no_descriptor_but_the_three_crosses() {
    let world = World::new();
    let secret_place = world.home.join(".ssh/id_rsa");
    let shell = format!("exec 7<{} 8</ 9</etc/hostname; exec \"$@\"", secret_place.display());
    let ran = world
        .bash("for n in {0..254}; do [ -e /proc/$$/fd/$n ] && echo $n; done; cat <&7; true")
        .started_by(["bash", "-c", &shell, "-"])
        .run();
    ran.expect_clean().expect_text("0\n1\n2\n");
}

#[test]
fn a_descriptor_that_was_asked_for_crosses() {
    let world = World::new();
    let note = put(&world.home.join("note"), b"let through\n", 0o644);
    let shell = format!("exec 7<{} 8</; exec \"$@\"", note.display());
    let ran = world
        .bash("cat <&7; { : <&8; } 2>/dev/null && echo ALLOWED || echo BLOCKED")
        .with(["--keep-fd", "7"])
        .started_by(["bash", "-c", &shell, "-"])
        .run();
    ran.expect_clean().expect_text("let through\nBLOCKED\n");
}

#[test]
fn a_descriptor_that_does_not_exist_cannot_be_kept() {
    let world = World::new();
    let ran = world.bash("true").with(["--keep-fd", "77"]).run().expect_code(125);
    assert!(ran.said().contains("77"), "{ran}");
}

#[test]
fn the_working_directory_is_entered_afresh() {
    let world = World::new();
    let ran = world.bash("cat .env; cat /proc/self/cwd/.env; pwd; echo .env").run().expect_clean();
    assert!(ran.text().contains(&format!("\n{}\n", world.project.display())), "{ran}");
    let ran = world
        .bash("pwd; cat ../../.env; ls ..")
        .in_directory(world.project.join("packages/web"))
        .run()
        .expect_clean();
    assert!(ran.text().starts_with(&format!("{}\n", world.project.join("packages/web").display())), "{ran}");
}

#[test]
fn no_memory_inside_holds_a_real_value() {
    let world = World::new();
    let probe = world.probe(&STATIC);
    let script = format!("cat .env >/dev/null; {} hold GITHUB_TOKEN", probe.display());
    let mut running = world.bash(&script).start();
    running.await_text("ready");
    let pids = inside(running.pid());
    assert!(pids.len() >= 2, "an init and a command at least, got {pids:?}");
    let (mut read, mut marked) = (0, 0);
    for pid in &pids {
        let Some(areas) = memory(*pid) else { continue };
        read += 1;
        for area in areas {
            let seen = world.seen_in(&area);
            assert!(seen.is_empty(), "process {pid} inside holds the real value of {seen:?}");
            marked += usize::from(memchr::memmem::find(&area, b"GITHUB_TOKEN=").is_some());
        }
    }
    assert!(read >= 1 && marked >= 1, "no memory could be read: the test would prove nothing");
    if rustix::process::geteuid().is_root() {
        assert_eq!(read, pids.len(), "root reads all of them");
    }
    drop(running.wait());
}

#[test]
fn the_launcher_cannot_be_read_by_its_own_user() {
    let world = World::new();
    let root = rustix::process::geteuid().is_root();
    // Root is judged without its privileges, some of which let it read everything; both sides lack them alike.
    // One is kept: without it the kernel lets nobody map uid 0 into a user namespace.
    let lessened: &[&str] = if root { &["setpriv", "--bounding-set=-all,+setfcap"] } else { &["env"] };
    let mut running = world.bash("echo ready; cat").started_by(lessened).start();
    running.await_text("ready");
    let reads = |pid: u32| {
        let script =
            format!("cat /proc/{pid}/environ /proc/{pid}/maps > /dev/null && echo ALLOWED || echo BLOCKED");
        world.native([lessened, &["bash", "-c", &script]].concat())
    };
    assert_eq!(reads(running.pid()), b"BLOCKED\n");
    let mut twin = std::process::Command::new(lessened[0])
        .args(&lessened[1..])
        .args(["sleep", "60"])
        .spawn()
        .expect("start the twin");
    let readable = soon(|| reads(twin.id()) == b"ALLOWED\n");
    drop(twin.kill());
    drop(twin.wait());
    assert!(readable, "an ordinary process can be read, so the test means something");
    drop(running.wait());
}

#[test]
fn a_run_leaves_no_mount_behind() {
    let world = World::new();
    let own = world.root().display().to_string();
    world.bash("cat .env; true").run().expect_clean();
    let left: Vec<_> = mounts().into_iter().filter(|line| line.contains(&own)).collect();
    assert!(left.is_empty(), "{left:?}");
}
