//! A real value that also lies in an ordinary file of the workspace shows there no more than in its own file.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::harness::made_up::{base64_standard, hex, word};
use crate::harness::probe::STATIC;
use crate::harness::{PYTHON, Ran, World, put};

/// Hands a file out in a disguise that no scan of the output knows.
fn disguised(path: &str) -> [String; 3] {
    let script = format!("print(bytes(b ^ 0x55 for b in open({path:?}, 'rb').read()).hex())");
    [PYTHON.to_owned(), "-c".to_owned(), script]
}

fn undisguised(ran: &Ran) -> Vec<u8> {
    let text = ran.text();
    let digits = text.trim();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hexadecimal") ^ 0x55)
        .collect()
}

/// What a program inside reads at `path`; natively it must read the planted value there.
#[track_caller]
fn seen(world: &World, path: &str, place: &str) -> Vec<u8> {
    let native = fs::read(world.project.join(path)).expect("the fixture can be read");
    let real = world.real(place).as_bytes();
    let spelled = [real.to_vec(), hex(real).into_bytes(), base64_of(real)];
    let holds = |bytes: &[u8]| spelled.iter().any(|one| memchr::memmem::find(bytes, one).is_some());
    assert!(holds(&native), "the fixture should hold {place}");
    let ran = world.shield(disguised(path)).run().expect_clean();
    let inside = undisguised(&ran);
    assert!(!holds(&inside), "{path} shows {place}\n{ran}");
    inside
}

/// Base64 without what the end of the text would change.
fn base64_of(bytes: &[u8]) -> Vec<u8> {
    base64_standard(&bytes[..bytes.len() / 3 * 3]).into_bytes()
}

#[track_caller]
fn is_blocked(world: &World, path: &str) {
    let probe = world.probe(&STATIC);
    let ran = world.shield([probe.as_os_str(), "cat".as_ref(), world.project.join(path).as_os_str()]).run();
    ran.expect_clean().expect_text("BLOCKED EACCES\n");
}

#[test]
fn the_key_of_a_dotenv_in_a_settings_file_is_synthetic_there_too() {
    let world = World::new();
    let key = world.real(".env DATABASE_PASSWORD").to_owned();
    let text = format!("DEBUG = True\nDATABASE = {{'password': '{key}'}}  # ü\nPORT = 8080\n");
    world.write("config/settings.py", &text);
    let inside = seen(&world, "config/settings.py", ".env DATABASE_PASSWORD");
    let inside = String::from_utf8(inside).expect("still UTF-8");
    assert_eq!(inside.len(), text.len(), "the span has the same length");
    assert!(
        inside.starts_with("DEBUG = True\nDATABASE = {'password': '") && inside.ends_with("PORT = 8080\n")
    );
    // It is the one that the environment shows: what belongs together stays together.
    let script = "set -a; . ./.env; grep -c -F -e \"$DATABASE_PASSWORD\" config/settings.py";
    world.bash(script).run().expect_clean().expect_text("1\n");
}

#[test]
fn a_value_of_the_environment_in_any_file_is_synthetic() {
    let world = World::new();
    let token = world.real("GITHUB_TOKEN").to_owned();
    for path in
        ["notes", "deep/er/odd name \u{e4}.txt", ".hidden/.x", "node_modules/a/index.js", "target/out.log"]
    {
        world.write(path, format!("token={token}\n"));
        let inside = seen(&world, path, "GITHUB_TOKEN");
        assert!(inside.starts_with(b"token=ghp_"), "{path}");
    }
}

#[test]
fn encoded_values_keep_their_encoding() {
    let world = World::new();
    let place = ".env DATABASE_PASSWORD";
    let key = world.real(place).to_owned();
    world.write("hex.txt", format!("digest: {}\n", hex(key.as_bytes())));
    let inside = seen(&world, "hex.txt", place);
    assert!(inside.starts_with(b"digest: ") && inside.len() == 9 + 2 * key.len());
    world.write(
        "basic.txt",
        format!("Authorization: Basic {}\n", base64_standard(format!("a:{key}").as_bytes())),
    );
    let ran = world.bash("cut -d' ' -f3 basic.txt | base64 -d | cut -c1-2").run().expect_clean();
    ran.expect_text("a:\n");
}

#[test]
fn a_binary_file_with_the_value_cannot_be_read() {
    let world = World::new();
    let key = world.real(".env DATABASE_PASSWORD").to_owned();
    let mut bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    world.write("clean.bin", &bytes);
    bytes.splice(262_100..262_100, key.bytes());
    world.write("data.bin", &bytes);
    is_blocked(&world, "data.bin");
    let twin = world.shield(["sha256sum", "clean.bin"]).run().expect_clean();
    assert_eq!(twin.stdout, world.native(["sha256sum", "clean.bin"]), "{twin}");
}

#[test]
fn a_second_link_of_such_a_file_is_covered_as_well() {
    let world = World::new();
    let key = world.real("packages/web/.env.local").to_owned();
    let first = world.write("config/settings.py", format!("KEY = '{key}'\n"));
    fs::hard_link(&first, world.project.join("second")).expect("link");
    let outside = world.beside("outside");
    fs::hard_link(&first, outside.join("third")).expect("link");
    symlink("config/settings.py", world.project.join("link.py")).expect("link");
    for path in ["config/settings.py", "second", "link.py"] {
        seen(&world, path, "packages/web/.env.local");
    }
    let ran = world.shield(["cat".as_ref(), outside.join("third").as_os_str()]).run();
    ran.assert_nothing_real();
    assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
}

#[test]
fn a_file_that_its_owner_may_open_up_again_is_covered() {
    let world = World::new();
    let key = world.real("packages/web/.env.local").to_owned();
    let path = world.write("closed.txt", format!("{key}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("close it");
    let ran = world.bash("chmod 600 closed.txt; cat closed.txt; true").run();
    assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
    ran.assert_nothing_real();
}

#[test]
fn a_template_and_a_backup_of_a_dotenv_show_nothing_real() {
    let world = World::new();
    let key = world.real(".env DATABASE_PASSWORD").to_owned();
    for path in [".env.example", "env.bak", ".env~"] {
        world.write(path, format!("DATABASE_PASSWORD={key}\n"));
        seen(&world, path, ".env DATABASE_PASSWORD");
    }
}

#[test]
fn a_value_of_another_file_in_the_comment_of_a_secret_file_is_replaced() {
    let world = World::new();
    let key = world.real("packages/web/.env.local").to_owned();
    let mut text = fs::read_to_string(world.project.join(".env")).expect("read");
    text.push_str(&format!("# was {key}\n"));
    world.write(".env", &text);
    seen(&world, ".env", "packages/web/.env.local");
}

#[test]
fn the_policy_of_its_owner_can_let_such_a_file_be_read() {
    let mut world = World::new();
    let key = world.real("packages/web/.env.local").to_owned();
    world.write("config/settings.py", format!("KEY = '{key}'\n"));
    put(
        &world.home.join(".config/shieldrun/sandbox-policy.yaml"),
        b"secrets:\n  files:\n    config/settings.py: allow\n",
        0o644,
    );
    let ran = world.shield(disguised("config/settings.py")).run().expect_code(0);
    assert!(memchr::memmem::find(&undisguised(&ran), key.as_bytes()).is_some(), "{ran}");
    // A project may not say that of itself.
    world.set("XDG_CONFIG_HOME", world.beside("empty").into_os_string());
    world.write("sandbox-policy.yaml", "secrets:\n  files:\n    config/settings.py: allow\n");
    let ran = world.shield(disguised("config/settings.py")).run();
    assert!(memchr::memmem::find(&undisguised(&ran), key.as_bytes()).is_none(), "{ran}");
}

#[test]
fn git_shows_no_password_of_a_remote() {
    let mut world = World::new();
    let password = world.plant("a remote's URL", word(24));
    let url = format!("https://ada:{password}@example.com/shop.git");
    let git = |arguments: &[&str]| drop(world.native([&["git"], arguments].concat()));
    git(&["remote", "add", "origin", &url]);
    put(
        &world.project.join(".git/FETCH_HEAD"),
        format!("{}\t\tbranch 'main' of {url}\n", "0".repeat(40)).as_bytes(),
        0o644,
    );
    let log = format!("{0} {0} Ada <a@example.com> 1700000000 +0000\tclone: from {url}\n", "0".repeat(40));
    put(&world.project.join(".git/logs/refs/remotes/origin/HEAD"), log.as_bytes(), 0o644);
    for path in [".git/config", ".git/FETCH_HEAD", ".git/logs/refs/remotes/origin/HEAD"] {
        let inside = seen(&world, path, "a remote's URL");
        assert!(memchr::memmem::find(&inside, b"https://ada:").is_some(), "{path}");
    }
    world.shield(["git", "status", "--short"]).run().expect_clean();
}

#[test]
fn a_workspace_full_of_the_value_is_refused() {
    let world = World::new();
    let key = world.real("packages/web/.env.local").to_owned();
    for number in 0..4097 {
        world.write(&format!("many/{}/{number}", number % 16), &key);
    }
    let ran = world.shield(["true"]).run().expect_code(125);
    ran.assert_nothing_real();
    assert!(ran.said().contains("hold a real value"), "{ran}");
}

#[test]
fn a_file_too_large_to_be_searched_cannot_be_read_unless_its_owner_says_so() {
    let world = World::new();
    let path = world.write("model.bin", "start");
    fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(5 << 30))
        .expect("a sparse file");
    is_blocked(&world, "model.bin");
    put(
        &world.home.join(".config/shieldrun/sandbox-policy.yaml"),
        b"secrets:\n  files:\n    model.bin: allow\n",
        0o644,
    );
    world.shield(["head", "-c", "5", "model.bin"]).run().expect_clean().expect_text("start");
}

/// Enough files for the pass to be worth remembering.
fn large(world: &World) {
    for number in 0..600 {
        world.write(&format!("src/{}/{number}.txt", number % 7), format!("text {number}\n"));
    }
    // What changed within the last two seconds is read again, whatever is remembered.
    std::thread::sleep(std::time::Duration::from_millis(2100));
}

#[test]
fn what_is_remembered_hides_no_change() {
    let world = World::new();
    large(&world);
    let key = world.real("packages/web/.env.local").to_owned();
    world.shield(["true"]).run().expect_clean();
    let kept = world.home.join(".cache/shieldrun");
    assert!(kept.join("key").exists(), "600 files should have been worth remembering");
    // The same length, and the old time set back: only the change time tells.
    let path = world.project.join("src/0/0.txt");
    let before = fs::metadata(&path).expect("stat").modified().expect("a time");
    for (file, text) in [("src/0/0.txt", format!("text {key}\n")), ("src/1/new.txt", key.clone())] {
        world.write(file, text);
    }
    fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(before))
        .expect("set the time");
    for file in ["src/0/0.txt", "src/1/new.txt"] {
        seen(&world, file, "packages/web/.env.local");
    }
    // A value that was not looked for the last time is found in files that were clean of the others.
    let mut world = world;
    let later = world.plant("LATER_TOKEN", word(30));
    world.write("src/2/later.txt", format!("{later}\n"));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    world.shield(["true"]).run().expect_code(0);
    world.set("LATER_TOKEN", later);
    seen(&world, "src/2/later.txt", "LATER_TOKEN");
}

#[test]
fn what_is_remembered_is_private_and_tells_nothing() {
    let world = World::new();
    large(&world);
    world.shield(["true"]).run().expect_clean();
    let kept = world.home.join(".cache/shieldrun");
    for entry in fs::read_dir(&kept).expect("the cache") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("read");
        assert_eq!(fs::metadata(&path).expect("stat").permissions().mode() & 0o077, 0, "{path:?}");
        assert!(world.seen_in(&bytes).is_empty(), "{path:?}");
    }
    let probe = world.probe(&STATIC);
    let ran = world.shield([probe.as_os_str(), "cat".as_ref(), kept.join("key").as_os_str()]).run();
    let ran = ran.expect_clean();
    assert!(ran.text().starts_with("BLOCKED"), "{ran}");
    // Others could have written it: then it is not used.
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)).expect("open it up");
    world.write("src/0/more.txt", world.real("GITHUB_TOKEN"));
    seen(&world, "src/0/more.txt", "GITHUB_TOKEN");
}
