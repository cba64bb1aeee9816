//! Known secret files are unreadable or synthetic inside and untouched outside.

use crate::harness::host::{difference, listing};
use crate::harness::made_up::{base64_standard, github, github_checksum_holds, word};
use crate::harness::probe::{DYNAMIC, OPENERS, RAW, STATIC};
use crate::harness::{PYTHON, Ran, World, binary, put};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Runs a script natively, where it must show the planted value, and inside, where it must not.
#[track_caller]
pub(crate) fn hides(world: &World, script: &str, place: &str) -> Ran {
    let native = world.native(["bash", "-c", script]);
    assert!(
        memchr::memmem::find(&native, world.real(place).as_bytes()).is_some(),
        "natively `{script}` should show {place}, else it is no test"
    );
    let ran = world.bash(script).run();
    assert!(ran.code().is_some_and(|code| code != 120), "it left, and only the scan stopped it\n{ran}");
    ran.assert_nothing_real();
    ran
}

/// The lines of a file natively and inside: the same but where a secret stood.
#[track_caller]
fn same_but_for(world: &World, path: &str, changed: &[usize]) -> Vec<String> {
    let ran = world.shield(["cat", path]).run().expect_clean();
    let native = String::from_utf8(world.native(["cat", path])).expect("the fixture is text");
    let (native, inside): (Vec<_>, Vec<_>) =
        (native.lines().map(str::to_owned).collect(), ran.text().lines().map(str::to_owned).collect());
    assert_eq!(native.len(), inside.len(), "{path} has another number of lines\n{ran}");
    for (at, (real, seen)) in native.iter().zip(&inside).enumerate() {
        if changed.contains(&at) {
            assert_ne!(real, seen, "line {at} of {path} is not replaced\n{ran}");
            assert_eq!(real.len(), seen.len(), "line {at} of {path} has another length\n{ran}");
        } else {
            assert_eq!(real, seen, "line {at} of {path} should have been left alone\n{ran}");
        }
    }
    inside
}

#[test]
fn a_dotenv_keeps_everything_but_its_secrets() {
    let world = World::new();
    let lines = same_but_for(&world, ".env", &[3, 4, 5]);
    assert!(lines[3].starts_with("DATABASE_PASSWORD="));
    assert!(lines[4].starts_with("export STRIPE_SECRET_KEY=\"sk_live_") && lines[4].ends_with('"'));
    assert!(lines[5].starts_with("GITHUB_TOKEN='ghp_"));
}

#[test]
fn a_nested_dotenv_of_any_name_is_replaced() {
    let mut world = World::new();
    same_but_for(&world, "packages/web/.env.local", &[0]);
    let secret = world.plant("deep .env.production", word(30));
    world.write("a/b/c/d/.env.production", format!("DEBUG=1\nAPP_SECRET={secret}\n"));
    same_but_for(&world, "a/b/c/d/.env.production", &[1]);
}

#[test]
fn a_dotenv_that_git_ignores_is_replaced() {
    let mut world = World::new();
    world.write(".gitignore", "ignored/\n.env*\n");
    let secret = world.plant("ignored/.env", word(30));
    world.write("ignored/.env", format!("APP_SECRET={secret}\n"));
    hides(&world, "cat ignored/.env", "ignored/.env");
}

#[test]
fn aws_credentials_keep_their_form() {
    let world = World::new();
    let path = world.home.join(".aws/credentials");
    let lines = same_but_for(&world, path.to_str().expect("plain"), &[2, 3, 6, 7, 8]);
    assert!(lines[2].starts_with("aws_access_key_id = AKIA"), "{}", lines[2]);
}

#[test]
fn netrc_and_npmrc_keep_their_form() {
    let world = World::new();
    same_but_for(&world, world.home.join(".netrc").to_str().expect("plain"), &[2]);
    let lines = same_but_for(&world, world.home.join(".npmrc").to_str().expect("plain"), &[2]);
    let token = lines[2].rsplit('=').next().unwrap_or_default();
    assert!(token.starts_with("npm_") && github_checksum_holds(token), "{token}");
}

#[test]
fn a_docker_config_still_holds_a_user_and_a_password() {
    let world = World::new();
    let script = "import json,base64,os\n\
        a=json.load(open(os.path.expanduser('~/.docker/config.json')))['auths']['registry.example.com']['auth']\n\
        u,p=base64.b64decode(a,validate=True).decode().split(':',1)\n\
        print(u,len(p))";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("ada 20\n");
}

#[test]
fn git_credentials_and_pgpass_show_no_real_value() {
    let world = World::new();
    hides(&world, "cat ~/.git-credentials", "~/.git-credentials");
    hides(&world, "cat ~/.pgpass", "~/.pgpass");
    hides(&world, "cat ~/.config/gh/hosts.yml", "~/.config/gh/hosts.yml");
}

#[test]
fn curl_sends_a_synthetic_password_from_netrc() {
    let world = World::new();
    let script = format!(
        "{PYTHON} -c \"
import base64, socket
s = socket.create_server(('127.0.0.1', 8126))
print('ready', flush=True)
while True:
    c, _ = s.accept()
    for line in c.recv(65536).decode().split('\\r\\n'):
        if line.lower().startswith('authorization: basic '):
            print('sent', base64.b64decode(line.split()[2]).decode(), flush=True)
    c.sendall(b'HTTP/1.1 204 No\\r\\n\\r\\n')
    c.close()
\" > seen & server=$!
         for i in $(seq 200); do grep -qs ready seen && break; sleep 0.05; done
         curl --silent --max-time 10 --netrc --resolve api.example.com:8126:127.0.0.1 http://api.example.com:8126/
         kill $server; cat seen"
    );
    let ran = hides(&world, &script, "~/.netrc");
    assert!(ran.text().contains("sent ada:"), "{ran}");
}

#[test]
fn the_private_keys_cannot_be_read() {
    let world = World::new();
    for (key, place) in [("id_ed25519", "~/.ssh/id_ed25519"), ("id_rsa", "~/.ssh/id_rsa")] {
        hides(&world, &format!("cat ~/.ssh/{key}"), place);
    }
    let path = world.home.join(".ssh/id_ed25519");
    for probe in [STATIC, DYNAMIC] {
        let ran = world.shield([world.probe(&probe).as_os_str(), "cat".as_ref(), path.as_os_str()]).run();
        ran.expect_clean().expect_text("BLOCKED EACCES\n");
    }
}

#[test]
fn every_way_to_open_a_blocked_file_is_refused_alike() {
    let world = World::new();
    let probe = world.probe(&OPENERS);
    let at = |path: &Path| world.shield([probe.as_path(), path]).run().expect_clean();
    let refused = at(&world.home.join(".ssh/id_rsa"));
    assert_eq!(refused.text().lines().count(), 12, "{refused}");
    assert!(refused.text().lines().all(|line| line.ends_with(" EACCES")), "{refused}");
    let allowed = at(&world.home.join("notes.txt"));
    assert!(allowed.text().lines().all(|line| line.ends_with(" ALLOWED")), "{allowed}");
}

#[test]
fn bare_system_calls_see_what_libc_sees() {
    let world = World::new();
    let probe = world.probe(&RAW);
    for how in ["open", "openat", "openat2", "mmap", "sendfile", "reopen", "pread"] {
        if how == "open" && cfg!(not(target_arch = "x86_64")) {
            continue;
        }
        let raw = |path: &str| format!("{} {how} {path}", probe.display());
        hides(&world, &raw(".env"), ".env DATABASE_PASSWORD");
        hides(&world, &raw("~/.aws/credentials"), "~/.aws/credentials work secret");
        let ran = hides(&world, &raw("~/.ssh/id_ed25519"), "~/.ssh/id_ed25519");
        assert_eq!(ran.text(), "BLOCKED 13\n", "{how}\n{ran}");
        world.bash(&raw("README.md")).run().expect_clean().expect_text("# shop\n");
    }
}

#[test]
fn a_mapping_shows_the_synthetic_too() {
    let world = World::new();
    for probe in [STATIC, DYNAMIC] {
        hides(&world, &format!("{} mmap .env", world.probe(&probe).display()), ".env STRIPE_SECRET_KEY");
    }
}

#[test]
fn a_file_that_cannot_be_parsed_is_unreadable() {
    let mut world = World::new();
    let secret = world.plant("an unparsable .env", word(30));
    world.write("broken/.env", format!("APP_SECRET={secret}\n\0\x01\x02\0 not a dotenv\n").as_bytes());
    let script = format!("{} cat broken/.env", world.probe(&STATIC).display());
    let ran = hides(&world, &script, "an unparsable .env");
    assert_eq!(ran.text(), "BLOCKED EACCES\n", "{ran}");

    let secret = world.plant("an unparsable docker config", base64_standard(word(30).as_bytes()));
    put(
        &world.home.join(".docker/config.json"),
        format!("{{ \"auths\": {{ \"x\": {{ \"auth\": \"{secret}\" }},,, }}").as_bytes(),
        0o600,
    );
    let script = format!("{} cat ~/.docker/config.json", world.probe(&STATIC).display());
    let ran = hides(&world, &script, "an unparsable docker config");
    assert_eq!(ran.text(), "BLOCKED EACCES\n", "{ran}");
}

#[test]
fn block_mode_makes_every_secret_file_unreadable() {
    let world = World::new();
    let probe = world.probe(&STATIC);
    for path in [world.project.join(".env"), world.home.join(".aws/credentials")] {
        let ran = world
            .shield([probe.as_os_str(), "cat".as_ref(), path.as_os_str()])
            .with(["--secrets", "block"])
            .run();
        ran.expect_clean().expect_text("BLOCKED EACCES\n");
    }
    let ran =
        world.shield([probe.as_os_str(), "cat".as_ref(), "README.md".as_ref()]).with(["--secrets", "block"]);
    ran.run().expect_clean().expect_text("# shop\n");
}

#[test]
fn files_that_pointer_variables_name_are_masked() {
    let mut world = World::new();
    let secret = world.plant("AWS_SHARED_CREDENTIALS_FILE", crate::harness::made_up::aws_secret());
    let file = world.home.join("elsewhere/aws");
    put(
        &file,
        format!("[default]\naws_access_key_id = x\naws_secret_access_key = {secret}\n").as_bytes(),
        0o600,
    );
    world.set("AWS_SHARED_CREDENTIALS_FILE", file.as_os_str());
    hides(&world, "cat $AWS_SHARED_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE");

    let token = world.plant("NPM_CONFIG_USERCONFIG", github("npm"));
    let file = world.home.join("elsewhere/npmrc");
    put(&file, format!("//registry.npmjs.org/:_authToken={token}\n").as_bytes(), 0o600);
    world.set("NPM_CONFIG_USERCONFIG", file.as_os_str());
    hides(&world, "cat $NPM_CONFIG_USERCONFIG", "NPM_CONFIG_USERCONFIG");
}

#[test]
fn ordinary_files_are_what_they_were() {
    let world = World::new();
    world.write("data.bin", (0..=255u8).collect::<Vec<_>>());
    world.write(".environment", "PLAIN=1\n");
    for path in ["README.md", "data.bin", ".environment", "src/app.py", ".git/config"] {
        let ran = world.shield(["cat", path]).run().expect_clean();
        assert_eq!(ran.stdout, fs::read(world.project.join(path)).expect("read"), "{path}\n{ran}");
    }
}

#[test]
fn the_host_is_left_as_it_was() {
    let world = World::new();
    symlink("nowhere", world.project.join("dangling")).expect("link");
    fs::hard_link(world.project.join(".env"), world.project.join("second")).expect("link");
    let probe = world.probe(&STATIC);
    let before = listing(&world.home);
    let script = format!(
        "{} cat .env; cat ~/.ssh/id_rsa ~/.aws/credentials second; ls -laR ~ >/dev/null; true",
        probe.display()
    );
    world.bash(&script).run().expect_clean();
    let found = difference(&before, &listing(&world.home));
    assert!(found.is_empty(), "the run changed the host:\n{}", found.join("\n"));
}

#[test]
fn stores_that_do_not_exist_get_no_stubs() {
    let world = World::new();
    let before = listing(&world.home);
    assert!(!before.contains_key(&world.home.join(".kube")));
    let ran = world.bash("ls -a ~ | grep -x -e .kube -e .gnupg -e .azure; true").run().expect_clean();
    assert!(difference(&before, &listing(&world.home)).is_empty());
    // Inside they may be missing or empty; they must not hold anything.
    let ran = world
        .bash(&format!(
            "{}cat ~/.kube/config ~/.gnupg/* 2>/dev/null; true",
            ran.text().replace('\n', " ; true ; ")
        ))
        .run();
    ran.expect_clean().expect_text("");
}

#[test]
fn writes_in_the_workspace_work_and_elsewhere_do_not() {
    let world = World::new();
    let script = "echo new > made && cat made && mkdir -p x/y && mv made x/y/ && rm -r x && echo fine";
    world.bash(script).run().expect_clean().expect_text("new\nfine\n");
    for path in ["/etc/shieldrun-test", "/usr/shieldrun-test", "/var/shieldrun-test", "/shieldrun-test"] {
        let ran = world.bash(&format!("echo x > {path}")).run();
        ran.expect_code(1);
        assert!(!Path::new(path).exists());
    }
}

#[test]
fn the_default_record_is_private_and_shows_no_real_value() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.bash("cat .env; echo $GITHUB_TOKEN").run().expect_clean();
    let runs = world.state.join("shieldrun/runs");
    let mut files = 0;
    for (path, _) in listing(&runs) {
        let meta = fs::symlink_metadata(&path).expect("stat");
        // What the run wrote keeps the modes that it gave, behind a directory that is closed to others.
        if path.components().any(|part| part.as_os_str() == "upper") {
            continue;
        }
        assert_eq!(meta.permissions().mode() & 0o077, 0, "{path:?} can be read by others");
        if meta.is_file() {
            files += 1;
            let seen = world.seen_in(&fs::read(&path).expect("read"));
            assert!(seen.is_empty(), "{path:?} shows {seen:?}");
        }
    }
    assert!(files >= 2, "run.json and events.jsonl should be in {runs:?}");
}

#[test]
fn a_world_under_tmp_works_the_same() {
    let world = World::below(Path::new("/tmp"));
    let script = "cat .env; cat ~/.ssh/id_rsa; echo x > made; pwd; ls -d ~";
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.text().contains("DATABASE_PASSWORD="), "{ran}");
    assert!(
        ran.text().ends_with(&format!("{}\n{}\n", world.project.display(), world.home.display())),
        "{ran}"
    );
    assert!(world.project.join("made").exists(), "what is written in the workspace stays");
}

#[test]
fn the_binary_works_from_anywhere() {
    let world = World::new();
    let copy = world.beside("elsewhere").join("renamed");
    fs::copy(binary(), &copy).expect("copy the binary");
    let output = std::process::Command::new(&copy)
        .args(["--", "printenv", "GITHUB_TOKEN"])
        .env_clear()
        .envs(world.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&world.project)
        .output()
        .expect("run the copy");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"ghp_") && world.seen_in(&output.stdout).is_empty());
}

#[test]
fn a_masked_file_that_the_host_replaces_ends_the_run() {
    let mut world = World::new();
    let fresh = world.plant("the .env of an editor", word(30));
    for how in ["rename", "remove"] {
        // Long enough for the guard, which is quick but not there before the guest: see the README.
        // In an overlay the host cannot take a mask away: `tests/overlay.rs`.
        let direct = ["--writes", "direct"];
        let mut running = world.bash("echo ready; sleep 20; cat .env").with(direct).start();
        running.await_text("ready");
        let path = world.project.join(".env");
        let next = world.project.join(".env.swp");
        if how == "rename" {
            put(&next, format!("NEW_SECRET={fresh}\n").as_bytes(), 0o644);
            fs::rename(&next, &path).expect("rename");
        } else {
            fs::remove_file(&path).expect("remove");
        }
        let ran = running.wait().expect_code(125);
        ran.assert_nothing_real();
    }
}

#[test]
fn a_masked_file_that_the_host_writes_into_stays_masked() {
    let mut world = World::new();
    let fresh = world.plant("the .env of an editor", word(30));
    let mut running = world.bash("echo ready; read line; cat .env; echo shown").start();
    running.await_text("ready");
    put(&world.project.join(".env"), format!("NEW_SECRET={fresh}\n").as_bytes(), 0o644);
    running.say(b"again\n");
    running.await_text("shown");
    running.wait().expect_code(0).assert_nothing_real();
}
