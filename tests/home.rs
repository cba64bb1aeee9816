//! A private home: toolchains and settings of the host's are there, all else is not, and nothing that is
//! written reaches the host.

use crate::harness::host::{difference, listing};
use crate::harness::shield::Shield;
use crate::harness::{PYTHON, World, put};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The user's own policy, from a file beside the home.
fn with_policy<'w>(world: &'w World, text: &str, script: &str) -> Shield<'w> {
    let policy = put(&world.beside("config").join("shieldrun/sandbox-policy.yaml"), text.as_bytes(), 0o600);
    let config = policy.ancestors().nth(2).expect("the directory of configurations").to_owned();
    world.bash(script).set("XDG_CONFIG_HOME", config)
}

#[test]
fn what_no_build_needs_is_absent() {
    let world = World::new();
    for path in
        ["Documents/letter", ".mozilla/firefox/p/prefs.js", "src/other/main.c", ".lesshst", ".unknown/file"]
    {
        put(&world.home.join(path), b"private\n", 0o644);
    }
    let script = "for f in Documents/letter src/other/main.c .lesshst .unknown/file notes.txt; do\n\
        [ -e ~/$f ] && echo there || echo absent; done; ls ~/.mozilla/firefox 2>/dev/null; ls -A ~/src; ls -A ~";
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", script])).into_owned();
    assert!(native.starts_with(&"there\n".repeat(5)), "{native}");
    let ran = world.bash(script).run();
    ran.assert_nothing_real();
    assert!(ran.text().starts_with(&format!("{}project\n", "absent\n".repeat(5))), "{ran}");
    for name in ["Documents", ".lesshst", ".unknown", "notes.txt"] {
        assert!(!ran.text().lines().any(|line| line == name), "{name} is listed\n{ran}");
    }
}

#[test]
fn tools_and_settings_are_there() {
    let world = World::new();
    put(&world.home.join(".cargo/bin/tool"), b"#!/bin/sh\necho tool\n", 0o755);
    put(&world.home.join(".npm/_cacache/x"), b"cached\n", 0o644);
    put(&world.home.join("go/pkg/mod/y"), b"module\n", 0o644);
    put(&world.home.join(".config/git/ignore"), b"*.swp\n", 0o644);
    put(&world.home.join(".bashrc"), b"export FROM_BASHRC=yes\n", 0o644);
    let script = "~/.cargo/bin/tool; cat ~/.npm/_cacache/x ~/go/pkg/mod/y ~/.config/git/ignore; git config user.name\n\
        . ~/.bashrc; echo $FROM_BASHRC; stat -c '%a %U' ~/.gitconfig ~/.npm";
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", script])).into_owned();
    assert!(native.starts_with("tool\ncached\nmodule\n*.swp\nAda\nyes\n"), "{native}");
    world.bash(script).run().expect_clean().expect_text(&native);
}

#[test]
fn what_is_written_stays_in_the_run() {
    let world = World::new();
    put(&world.home.join(".cargo/registry/index"), b"old\n", 0o644);
    put(&world.home.join(".local/bin/tool"), b"tool\n", 0o755);
    let before = listing(&world.home);
    let script = "set -e; echo new > ~/.cargo/registry/index; rm ~/.local/bin/tool; mkdir -p ~/.cache/agent ~/.config/agent\n\
        echo state > ~/.cache/agent/state; echo 1 > ~/.agent.json.new; mv ~/.agent.json.new ~/.agent.json\n\
        echo 2 > ~/.agent.json.new; mv ~/.agent.json.new ~/.agent.json; git config --global user.name Grace\n\
        cat ~/.cargo/registry/index ~/.cache/agent/state ~/.agent.json; git config user.name; ls ~/.local/bin; df --output=target ~ | tail -n 1 >/dev/null";
    world.bash(script).run().expect_clean().expect_text("new\nstate\n2\nGrace\n");
    let changed = difference(&before, &listing(&world.home));
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    // The next run begins afresh.
    world
        .bash("cat ~/.cargo/registry/index; ls -A ~/.cache 2>/dev/null; git config user.name")
        .run()
        .expect_clean()
        .expect_text("old\nAda\n");
}

#[test]
fn secret_places_are_present_and_masked() {
    let world = World::new();
    let script = "stat -c %F ~/.ssh ~/.aws/credentials ~/.netrc; cat ~/.aws/credentials | head -n 2; cat ~/.ssh/id_rsa 2>&1 | grep -c denied\n\
        echo x > ~/.netrc || echo refused; rm -f ~/.netrc; mv ~/.aws/credentials ~/x || echo refused";
    let ran = world.bash(&format!("exec 2>/dev/null; {script}")).run();
    ran.assert_nothing_real();
    assert!(
        ran.text().starts_with("directory\nregular file\nregular file\n# kept by hand\n[default]\n"),
        "{ran}"
    );
    assert!(ran.text().ends_with("refused\nrefused\n"), "{ran}");
}

#[test]
fn a_value_in_a_settings_file_is_replaced_in_the_copy() {
    let mut world = World::new();
    let token = world.real("GITHUB_TOKEN").to_owned();
    put(&world.home.join(".inputrc"), format!("# {token}\n").as_bytes(), 0o644);
    let ran = world.bash("cat ~/.inputrc").run().expect_clean();
    assert!(ran.text().starts_with("# ghp_"), "{ran}");
    world.set("OTHER", "1");
}

#[test]
fn links_of_the_home_lead_where_they_lead_on_the_host() {
    let world = World::new();
    put(&world.home.join("dotfiles/gitconfig"), b"[user]\n\tname = Linked\n", 0o644);
    put(&world.home.join("dotfiles/git/ignore"), b"*.swp\n", 0o644);
    put(&world.home.join("dotfiles/private"), b"private\n", 0o644);
    fs::remove_file(world.home.join(".gitconfig")).expect("remove");
    symlink("dotfiles/gitconfig", world.home.join(".gitconfig")).expect("link");
    symlink(world.home.join("dotfiles/git"), world.home.join(".config/git")).expect("link");
    let far = world.beside("far");
    put(&far.join("cargo/bin/tool"), b"#!/bin/sh\necho tool\n", 0o755);
    symlink(far.join("cargo"), world.home.join(".cargo")).expect("link");
    symlink(".loop", world.home.join(".npm")).expect("link");
    symlink(".npm", world.home.join(".loop")).expect("link");
    let script = "git config user.name; cat ~/.config/git/ignore; ~/.cargo/bin/tool; readlink ~/.gitconfig; ls ~/dotfiles";
    world
        .bash(script)
        .run()
        .expect_clean()
        .expect_text("Linked\n*.swp\ntool\ndotfiles/gitconfig\ngit\ngitconfig\n");
}

#[test]
fn a_linked_secret_is_masked_where_it_lies() {
    let mut world = World::new();
    let secret = world.plant("dotfiles/npmrc", "npm_x7Kq9mZ2pL4vT8wB3nR6yD1sQ5fG0hJaWcEb");
    put(
        &world.home.join("dotfiles/npmrc"),
        format!("//registry.npmjs.org/:_authToken={secret}\n").as_bytes(),
        0o600,
    );
    fs::remove_file(world.home.join(".npmrc")).expect("remove");
    symlink("dotfiles/npmrc", world.home.join(".npmrc")).expect("link");
    let ran = world.bash("cat ~/.npmrc; cat ~/dotfiles/npmrc").run();
    ran.assert_nothing_real();
    assert_eq!(ran.text().matches("_authToken=").count(), 2, "{ran}");
}

#[test]
fn the_policy_shows_and_keeps_more() {
    let world = World::new();
    put(&world.home.join("Documents/manual"), b"read me\n", 0o644);
    put(&world.home.join(".agent/state"), b"1\n", 0o644);
    let script = "cat ~/Documents/manual; cat ~/.agent/state; echo changed > ~/Documents/manual; cat ~/Documents/manual; echo 2 > ~/.agent/state";
    let policy = "files:\n  visible: [\"~/Documents\"]\n  persist: [\"~/.agent\"]\n";
    with_policy(&world, policy, script).run().expect_clean().expect_text("read me\n1\nchanged\n");
    assert_eq!(fs::read(world.home.join("Documents/manual")).expect("read"), b"read me\n");
    assert_eq!(fs::read(world.home.join(".agent/state")).expect("read"), b"2\n", "it was to persist");
    // The twin: nobody said so.
    let ran = world.bash("cat ~/Documents/manual ~/.agent/state").run();
    assert_eq!((ran.code(), ran.text().as_str()), (Some(1), ""), "{ran}");
}

#[test]
fn a_project_may_not_show_more() {
    let world = World::new();
    put(&world.home.join("Documents/letter"), b"private\n", 0o644);
    world.write("sandbox-policy.yaml", "files:\n  visible: [\"~/Documents\"]\n");
    let ran = world.bash("cat ~/Documents/letter").run().expect_code(125);
    assert!(ran.said().contains("only"), "{ran}");
}

#[test]
fn programs_of_the_path_and_the_command_itself_run() {
    let mut world = World::new();
    let path = format!("{}/.tool/bin:{}/mine/bin:/usr/bin:/bin", world.home.display(), world.home.display());
    put(&world.home.join(".tool/bin/first"), b"#!/bin/sh\ncat \"$(dirname $0)/../lib/data\"\n", 0o755);
    put(&world.home.join(".tool/lib/data"), b"data\n", 0o644);
    put(&world.home.join("mine/bin/second"), b"#!/bin/sh\necho second; ls ~/mine\n", 0o755);
    put(&world.home.join("mine/private"), b"private\n", 0o644);
    world.set("PATH", path);
    world.shield(["first"]).run().expect_clean().expect_text("data\n");
    world.shield(["second"]).run().expect_clean().expect_text("second\nbin\n");
    let alone = put(&world.home.join("agents/run"), b"#!/bin/sh\necho alone; ls ~/agents\n", 0o755);
    put(&world.home.join("agents/private"), b"private\n", 0o644);
    world.shield([&alone]).run().expect_clean().expect_text("alone\nrun\n");
    let script = put(&world.home.join("agents/agent.py"), b"print('script')\n", 0o644);
    world.shield([PYTHON.as_ref(), script.as_os_str()]).run().expect_clean().expect_text("script\n");
}

#[test]
fn a_mount_in_the_home_leaves_tools_read_only() {
    let world = World::new();
    put(&world.home.join(".cargo/bin/tool"), b"#!/bin/sh\necho tool\n", 0o755);
    fs::create_dir_all(world.home.join("mnt")).expect("a directory");
    let mounted = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none ../../mnt && exec \"$@\"", "-"];
    let script = "~/.cargo/bin/tool; echo x > ~/.cargo/x || echo refused; echo y > ~/y && cat ~/y";
    let ran = world.bash(script).started_by(mounted).run().expect_clean();
    assert_eq!(ran.text(), "tool\nrefused\ny\n", "{ran}");
    assert!(!world.home.join(".cargo/x").exists());
}

#[test]
fn homes_of_others_are_absent() {
    let world = World::new();
    world.bash("ls -A /home | grep -v linuxbrew; true").run().expect_clean().expect_text("");
    // As root: its own home is not the world's, so it is another's.
    let count = "ls -A /root 2>/dev/null | wc -l";
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", count])).into_owned();
    assert!(native != "0\n" || Path::new("/root").read_dir().is_err(), "root's home is empty: no test");
    world.bash(count).run().expect_clean().expect_text("0\n");
}

#[test]
fn what_is_not_for_others_is_not_for_root_either() {
    let world = World::new();
    let script = "for f in /etc/shadow /etc/gshadow /var/log /var/lib/private; do [ -e $f ] || continue\n\
        if [ -d $f ]; then ls $f; else cat $f; fi >/dev/null 2>&1 && echo ALLOWED $f; done; cat /etc/passwd | head -c 4";
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", script])).into_owned();
    assert!(native.ends_with("root"), "{native}");
    let ran = world.bash(script).run().expect_clean();
    let expected = if native.contains("/etc/shadow") { "root" } else { &native };
    assert_eq!(ran.text(), *expected, "{ran}");
}

#[test]
fn another_name_of_the_home_shows_no_more_of_it() {
    let world = World::new();
    put(&world.home.join("Documents/letter"), b"private\n", 0o644);
    let far = world.beside("far");
    let mount = format!("mount --bind {} {} && exec \"$@\"", world.home.display(), far.display());
    let script = format!("cat {0}/Documents/letter; ls -A {0} 2>/dev/null | wc -l", far.display());
    let bound = ["unshare", "-Urm", "sh", "-c", &mount, "-"];
    let twin = [&bound[..], &["bash", "-c", &script]].concat();
    assert!(String::from_utf8_lossy(&world.native(twin)).starts_with("private\n"));
    let ran = world.bash(&script).started_by(bound).run().expect_clean();
    assert_eq!(ran.text(), "0\n", "{ran}");
}

#[test]
fn files_that_are_replaced_and_new_ones_are_kept_too() {
    let world = World::new();
    put(&world.home.join(".agent.json"), b"1\n", 0o600);
    put(&world.home.join(".same"), b"same\n", 0o600);
    put(&world.home.join("outside"), b"outside\n", 0o644);
    let policy = "files:\n  persist: [\"~/.agent.json\", \"~/.same\", \"~/.new/state.json\", \"~/.tree\", \"~/.link\", \"~/.through/file\"]\n";
    let script = "cat ~/.agent.json ~/.same; echo 2 > ~/.a; mv ~/.a ~/.agent.json; mkdir ~/.new; echo new > ~/.new/state.json\n\
        mkdir -p ~/.tree/deep; echo leaf > ~/.tree/deep/leaf; ln -s outside ~/.link; ln -s / ~/.through; echo no > ~/.other";
    let before = listing(&world.home);
    with_policy(&world, policy, script).run().expect_clean().expect_text("1\nsame\n");
    let read = |name: &str| fs::read_to_string(world.home.join(name)).unwrap_or_default();
    assert_eq!(read(".agent.json"), "2\n");
    assert_eq!(read(".new/state.json"), "new\n");
    assert_eq!(read(".tree/deep/leaf"), "leaf\n");
    let after = listing(&world.home);
    for (path, line) in &before {
        let name = path.strip_prefix(&world.home).unwrap_or(path);
        if !name.as_os_str().is_empty() && name != Path::new(".agent.json") {
            assert_eq!(after.get(path), Some(line), "{name:?} changed");
        }
    }
    for absent in [".link", ".through", ".other"] {
        assert!(!after.contains_key(&world.home.join(absent)), "{absent} came back");
    }
    // The next run finds them.
    with_policy(
        &world,
        policy,
        "cat ~/.agent.json ~/.new/state.json ~/.tree/deep/leaf; echo 3 >> ~/.tree/deep/leaf",
    )
    .run()
    .expect_clean()
    .expect_text("2\nnew\nleaf\n");
    assert_eq!(read(".tree/deep/leaf"), "leaf\n3\n");
}
