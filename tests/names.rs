//! A known secret file is the same masked file by every name and every way to it.

use crate::files::hides;
use crate::harness::made_up::word;
use crate::harness::{World, put};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn other_spellings_of_a_path_lead_to_the_same_mask() {
    let world = World::new();
    let project = world.project.display().to_string();
    let home = world.home.display().to_string();
    for path in [
        "./.env".to_owned(),
        "src/../.env".to_owned(),
        ".//.env".to_owned(),
        format!("/{project}/.env"),
        "/proc/self/cwd/.env".to_owned(),
        format!("/proc/self/root{project}/.env"),
        format!("/proc/thread-self/root{project}/.env"),
        format!("/proc/1/root{project}/.env"),
        format!("/proc/1/cwd{project}/.env"),
        format!("/usr/..{project}/.env"),
    ] {
        let ran = world.bash(&format!("cat '{path}'")).run();
        ran.assert_nothing_real();
        assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
    }
    for path in [
        format!("{home}//.ssh///id_rsa"),
        format!("{home}/.aws/../.ssh/id_rsa"),
        format!("/proc/self/root{home}/.ssh/id_rsa"),
        "/proc/self/cwd/../../.ssh/id_rsa".to_owned(),
        "../../.ssh/./id_rsa".to_owned(),
    ] {
        hides(&world, &format!("cat '{path}'"), "~/.ssh/id_rsa");
    }
}

#[test]
fn a_symbolic_link_leads_to_the_mask() {
    let world = World::new();
    symlink(".env", world.project.join("settings")).expect("link");
    symlink("settings", world.project.join("again")).expect("link");
    symlink(world.home.join(".aws/credentials"), world.project.join("cloud")).expect("link");
    symlink(world.home.join(".ssh"), world.project.join("keys")).expect("link");
    hides(&world, "cat settings", ".env DATABASE_PASSWORD");
    hides(&world, "cat again", ".env DATABASE_PASSWORD");
    hides(&world, "cat cloud", "~/.aws/credentials default secret");
    hides(&world, "cat keys/id_rsa", "~/.ssh/id_rsa");
    hides(&world, "ln -s .env made-inside; cat made-inside; rm made-inside", ".env DATABASE_PASSWORD");
}

#[test]
fn a_dotenv_that_is_a_link_to_elsewhere_is_masked_at_its_target() {
    let mut world = World::new();
    let secret = world.plant("the target of a linked .env", word(30));
    let target = world.home.join("shared/settings");
    put(&target, format!("APP_SECRET={secret}\n").as_bytes(), 0o600);
    fs::create_dir_all(world.project.join("linked")).expect("make a directory");
    symlink(&target, world.project.join("linked/.env")).expect("link");
    hides(&world, "cat linked/.env", "the target of a linked .env");
    hides(&world, "cat ~/shared/settings", "the target of a linked .env");
}

#[test]
fn a_second_name_of_a_masked_file_is_masked() {
    let world = World::new();
    fs::hard_link(world.project.join(".env"), world.project.join("src/second")).expect("link");
    fs::hard_link(world.home.join(".aws/credentials"), world.project.join("cloud.txt")).expect("link");
    fs::hard_link(world.home.join(".ssh/id_rsa"), world.project.join("key.txt")).expect("link");
    hides(&world, "cat src/second", ".env DATABASE_PASSWORD");
    hides(&world, "cat cloud.txt", "~/.aws/credentials work secret");
    hides(&world, "cat key.txt", "~/.ssh/id_rsa");
}

#[test]
fn a_second_name_outside_of_the_workspace_shows_nothing_either() {
    let world = World::new();
    let outside = world.beside("outside");
    fs::hard_link(world.project.join(".env"), outside.join("second")).expect("link");
    let ran = world.shield(["cat".as_ref(), outside.join("second").as_os_str()]).run();
    ran.assert_nothing_real();
    assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
}

#[test]
fn a_link_made_inside_gives_no_second_name() {
    let world = World::new();
    let ran = world.bash("ln .env second; cat second; cp -l .env third; cat third; true").run();
    ran.expect_clean();
}

#[test]
fn a_copied_interpreter_and_the_loader_are_no_way_round() {
    let world = World::new();
    hides(&world, "cp /bin/cat ./mine; ./mine .env; rm mine", ".env DATABASE_PASSWORD");
    hides(&world, "cp /bin/cat ./mine; ./mine ~/.ssh/id_rsa; rm mine", "~/.ssh/id_rsa");
    hides(&world, "/lib64/ld-linux-x86-64.so.2 /bin/cat ~/.ssh/id_rsa", "~/.ssh/id_rsa");
    hides(&world, "unset LD_PRELOAD; cat ~/.ssh/id_rsa", "~/.ssh/id_rsa");
    hides(&world, "env -i /bin/cat .env", ".env DATABASE_PASSWORD");
}

#[test]
fn a_mask_cannot_be_moved_away() {
    let world = World::new();
    for script in [
        "mv .env old; cat old; mv old .env; cat .env",
        "mv ~/.ssh ~/other; cat ~/other/id_rsa",
        "rm -f .env; cat .env",
        "mkdir -p d && mv packages d/ && cat d/packages/web/.env.local",
        "tar cf - .env packages ~/.aws 2>/dev/null | tar xOf - ",
        "cp -a . ../copy 2>/dev/null; cat ../copy/.env",
        "git add -f .env packages 2>/dev/null; git stash -q 2>/dev/null; git show stash@{0}:.env",
    ] {
        let ran = world.bash(script).run();
        ran.assert_nothing_real();
        assert_ne!(ran.code(), Some(120), "`{script}`: only the scan stopped it\n{ran}");
    }
}
