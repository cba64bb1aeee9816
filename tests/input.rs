//! Bad and odd input: a clear error or the right result, never a hang or a panic.

use crate::harness::probe::STATIC;
use crate::harness::{Ran, World, put};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

/// Whatever was done, it was done deliberately.
#[track_caller]
fn no_panic(ran: &Ran) {
    ran.assert_nothing_real();
    assert!(!ran.said().contains("panicked") && ran.code() != Some(101), "{ran}");
    assert!(ran.code().is_some(), "the launcher itself was killed\n{ran}");
}

#[test]
fn an_environment_of_one_and_a_half_mebibytes_passes() {
    let mut world = World::new();
    // The kernel takes at most 128 KiB in one variable.
    for at in 0..15 {
        world.set(format!("LARGE_{at}"), "x".repeat(100 * 1024));
    }
    let ran = world.bash("echo ${#LARGE_14} $GITHUB_TOKEN").run().expect_clean();
    assert!(ran.text().starts_with("102400 ghp_"), "{ran}");
}

#[test]
fn ten_thousand_variables_pass() {
    let mut world = World::new();
    for at in 0..10_000 {
        world.environment.push((format!("SETTING_{at}").into(), format!("value {at}").into()));
    }
    let ran =
        world.shield(["bash", "-c", "env | grep -c ^SETTING_; echo $SETTING_9999"]).run().expect_clean();
    assert_eq!(ran.text(), "10000\nvalue 9999\n", "{ran}");
}

#[test]
fn a_thousand_secret_variables_are_all_replaced() {
    let mut world = World::new();
    for at in 0..1000 {
        let value = world.plant("one of a thousand", crate::harness::made_up::custom());
        world.environment.push((format!("SERVICE_{at}_TOKEN").into(), value.into()));
    }
    let ran = world.bash("env | grep -c '^SERVICE_.*_TOKEN='; env").run().expect_clean();
    assert!(ran.text().starts_with("1000\n"), "{}", ran.said());
}

#[test]
fn variables_without_a_name_or_given_twice_do_no_harm() {
    let world = World::new();
    let shell = "exec /usr/bin/env -S '=odd' \"$@\"";
    let ran = world.bash("echo ran").started_by(["bash", "-c", shell, "-"]).run();
    no_panic(&ran);
}

#[test]
fn paths_with_newlines_and_bad_bytes_are_masked_like_others() {
    let mut world = World::new();
    let script = "for f in */.env; do cat \"$f\"; done";
    for name in
        [b"with\nnewline".as_slice(), b"bad\xff\xfebytes", b"back\\slash \"quoted\"", b" lead and trail "]
    {
        let secret = world.plant("a .env at an odd path", crate::harness::made_up::word(30));
        let path = world.project.join(OsStr::from_bytes(name)).join(".env");
        put(&path, format!("APP_SECRET={secret}\n").as_bytes(), 0o644);
    }
    let native = world.native(["bash", "-c", script]);
    assert_eq!(native.split(|b| *b == b'\n').filter(|line| line.starts_with(b"APP_SECRET=")).count(), 4);
    let ran = world.bash(script).run().expect_clean();
    assert_eq!(ran.text().matches("APP_SECRET=").count(), 4, "{ran}");
    assert!(ran.record.faults().is_empty(), "{:?}\n{ran}", ran.record.faults());
}

#[test]
fn a_project_at_an_odd_path_works() {
    let world = World::new();
    let odd = world.home.join(OsStr::from_bytes(b"odd\n\xff place"));
    put(&odd.join(".env"), format!("APP_SECRET={}\n", world.real("MY_SERVICE_TOKEN")).as_bytes(), 0o644);
    let ran = world.bash("cat .env && echo x > made").in_directory(&odd).run();
    no_panic(&ran);
    let ran = ran.expect_code(0);
    assert!(ran.text().starts_with("APP_SECRET="), "{ran}");
    assert!(odd.join("made").exists());
}

#[test]
fn a_dotenv_of_fifty_mebibytes_shows_nothing_real() {
    let world = World::new();
    let mut large = Vec::with_capacity(51 << 20);
    while large.len() < 50 << 20 {
        large.extend(b"# a comment that fills the file and says nothing at all\nSETTING=1\n");
    }
    large.extend(format!("DATABASE_PASSWORD={}\n", world.real(".env DATABASE_PASSWORD")).as_bytes());
    world.write(".env", &large);
    let ran = world.bash("tail -n 1 .env; true").run();
    no_panic(&ran);
    ran.expect_code(0);
}

#[test]
fn a_dotenv_that_is_a_directory_does_no_harm() {
    let world = World::new();
    let secret = world.real(".env DATABASE_PASSWORD").to_owned();
    fs::remove_file(world.project.join(".env")).expect("remove");
    world.write(".env/settings", "PLAIN=1\n");
    world.write(".env/.env", format!("DATABASE_PASSWORD={secret}\n"));
    let ran = world.bash("cat .env/.env; ls -d .env").run().expect_clean();
    assert!(ran.text().ends_with(".env\n"), "{ran}");
}

#[test]
fn a_python_virtual_environment_named_dotenv_still_works() {
    let world = World::new();
    fs::remove_file(world.project.join(".env")).expect("remove");
    let made = std::process::Command::new(crate::harness::PYTHON)
        .args(["-m", "venv", "--without-pip", ".env"])
        .current_dir(&world.project)
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let ran =
        world.bash(". .env/bin/activate && python -c 'import sys; print(sys.prefix)'").run().expect_clean();
    assert_eq!(ran.text(), format!("{}\n", world.project.join(".env").display()), "{ran}");
}

#[test]
fn a_dangling_dotenv_does_no_harm() {
    let world = World::new();
    fs::remove_file(world.project.join(".env")).expect("remove");
    symlink("nowhere/at/all", world.project.join(".env")).expect("link");
    symlink(".env", world.project.join("packages/.env")).expect("a link to itself");
    let ran = world.bash("cat .env 2>/dev/null; echo ran").run().expect_clean().expect_text("ran\n");
    assert!(fs::symlink_metadata(world.project.join(".env")).is_ok_and(|meta| meta.is_symlink()), "{ran}");
    assert!(!world.project.join("nowhere").exists());
}

#[test]
fn a_dotenv_that_is_a_fifo_does_not_hang_the_run() {
    let world = World::new();
    fs::remove_file(world.project.join(".env")).expect("remove");
    let status =
        std::process::Command::new("mkfifo").arg(world.project.join(".env")).status().expect("run mkfifo");
    assert!(status.success());
    let ran = world.bash("echo ran").run();
    no_panic(&ran);
    ran.expect_code(0).expect_text("ran\n");
}

#[test]
fn a_dotenv_that_is_a_socket_or_a_loop_does_no_harm() {
    let world = World::new();
    fs::remove_file(world.project.join(".env")).expect("remove");
    let _socket = std::os::unix::net::UnixListener::bind(world.project.join("src/.env")).expect("listen");
    symlink(".", world.project.join("loop")).expect("link");
    symlink("..", world.project.join("src/up")).expect("link");
    world.bash("echo ran").run().expect_clean().expect_text("ran\n");
}

#[test]
fn a_dotenv_that_only_its_owner_may_read_is_still_masked() {
    let world = World::new();
    put(
        &world.project.join(".env"),
        format!("A_SECRET={}\n", world.real("MY_SERVICE_TOKEN")).as_bytes(),
        0o000,
    );
    let script = format!("chmod 644 .env; {} cat .env", world.probe(&STATIC).display());
    let ran = world.bash(&script).run();
    no_panic(&ran);
    assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
}

#[test]
fn dotenvs_in_odd_text_forms_show_nothing_real() {
    let mut world = World::new();
    let secret = world.plant("a .env in an odd form", crate::harness::made_up::word(30));
    let utf16: Vec<u8> =
        format!("\u{feff}APP_SECRET={secret}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content) in [
        ("crlf/.env", format!("A=1\r\nAPP_SECRET={secret}\r\n").into_bytes()),
        ("bom/.env", format!("\u{feff}APP_SECRET={secret}\n").into_bytes()),
        ("open/.env", format!("APP_SECRET=\"{secret}\n").into_bytes()),
        ("lines/.env", format!("APP_SECRET=\"first\n{secret}\nlast\"\n").into_bytes()),
        ("tail/.env", format!("APP_SECRET={secret}").into_bytes()),
        ("colon/.env", format!("APP_SECRET: {secret}\n").into_bytes()),
        ("spaces/.env", format!("  export   APP_SECRET  =  {secret}  # note\n").into_bytes()),
        ("bare/.env", format!("{secret}\n").into_bytes()),
        ("comment/.env", format!("# APP_SECRET={secret}\n").into_bytes()),
        ("utf16/.env", utf16),
        ("latin/.env", [b"NAME=caf\xe9\nAPP_SECRET=".as_slice(), secret.as_bytes(), b"\n"].concat()),
        ("nul/.env", [b"APP_SECRET=".as_slice(), secret.as_bytes(), b"\0\n"].concat()),
        ("empty/.env", Vec::new()),
    ] {
        world.write(name, content);
        let ran = world.shield(["cat", name]).run();
        no_panic(&ran);
        assert!(ran.code().is_some_and(|code| code < 2), "{name}: unreadable or synthetic\n{ran}");
        let plain: Vec<u8> = ran.stdout.iter().copied().filter(|byte| *byte != 0).collect();
        assert!(world.seen_in(&plain).is_empty(), "{name} shows the real value");
    }
}

#[test]
fn a_home_that_is_missing_or_odd_does_no_harm() {
    let world = World::new();
    for home in ["/no/such/home", "", "relative/home", "/"] {
        let ran = world.bash("echo ran; echo $GITHUB_TOKEN").set("HOME", home).run();
        no_panic(&ran);
        assert!(matches!(ran.code(), Some(0 | 125)), "HOME={home:?}\n{ran}");
    }
    let shell = "unset HOME XDG_STATE_HOME; exec \"$@\"";
    let ran = world.bash("echo ran").started_by(["bash", "-c", shell, "-"]).run();
    no_panic(&ran);
}

#[test]
fn a_working_directory_that_is_gone_is_a_clear_error() {
    let world = World::new();
    let shell = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"";
    let ran = world.bash("echo ran").started_by(["bash", "-c", shell, "-"]).run();
    no_panic(&ran);
    let ran = ran.expect_code(125);
    assert!(ran.said().starts_with("shieldrun:"), "{ran}");
}

#[test]
fn a_project_that_is_the_home_or_the_root_is_handled() {
    let world = World::new();
    let ran = world.bash("cat .aws/credentials; cat .ssh/id_rsa; true").in_directory(&world.home).run();
    no_panic(&ran);
    assert!(matches!(ran.code(), Some(0 | 125)), "{ran}");
    let ran = world.bash("echo ran").in_directory("/").at_most(std::time::Duration::from_secs(120)).run();
    no_panic(&ran);
    assert!(matches!(ran.code(), Some(0 | 125)), "{ran}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_clear_error() {
    let world = World::new();
    let file = put(&world.home.join("a-file"), b"", 0o600);
    let ran = world.bash("echo ran").set("XDG_STATE_HOME", file.as_os_str()).run();
    no_panic(&ran);
    let ran = ran.expect_code(125);
    assert!(ran.said().starts_with("shieldrun:") && ran.said().contains("a-file"), "{ran}");
}

#[test]
fn a_place_for_events_that_cannot_be_written_is_a_clear_error() {
    let world = World::new();
    for place in ["/no/such/directory/events", "fd:77", "fd:x"] {
        let prepared = world.shield(["echo", "ran"]);
        let mut words: Vec<OsString> = prepared.words();
        let at = words.iter().position(|word| word == "--events").expect("the harness gives --events");
        words[at + 1] = place.into();
        let output = std::process::Command::new("timeout")
            .arg("60")
            .args(&words)
            .env_clear()
            .envs(world.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&world.project)
            .output()
            .expect("run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{place}: {said}");
        assert!(said.starts_with("shieldrun:") && output.stdout.is_empty(), "{place}: {said}");
    }
}

#[test]
fn deep_trees_are_walked() {
    let mut world = World::new();
    let secret = world.plant("a deep .env", crate::harness::made_up::word(30));
    let deep = "d/".repeat(200);
    world.write(&format!("{deep}.env"), format!("APP_SECRET={secret}\n"));
    let ran = world.shield(["cat", &format!("{deep}.env")]).run().expect_clean();
    assert!(ran.text().starts_with("APP_SECRET="), "{ran}");
}

#[test]
fn a_thousand_dotenvs_are_all_masked() {
    let mut world = World::new();
    let secret = world.plant("one of a thousand .env", crate::harness::made_up::word(30));
    for at in 0..1000 {
        world.write(&format!("many/{at}/.env"), format!("APP_SECRET={secret}\n"));
    }
    let ran = world.bash("cat many/*/.env | sort -u").run().expect_clean();
    assert_eq!(ran.text().lines().count(), 1, "{ran}");
    assert!(ran.text().starts_with("APP_SECRET="), "{ran}");
}
