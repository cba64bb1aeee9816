//! `--writes overlay`: the workspace takes every write, and the host's stays as it was, to the byte and
//! the nanosecond. Each script also runs natively afterwards: there it must say the same and change the
//! tree, or it would prove nothing.

use crate::harness::host::{difference, listing};
use crate::harness::{PYTHON, Ran, World, put};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Held, so that what the gate would accept does not reach the host either.
const OVERLAY: [&str; 4] = ["--writes", "overlay", "--review", "always"];

/// Runs a script in the overlay and then natively: the same words, but only the latter leaves a trace.
#[track_caller]
fn same_and_untouched(world: &World, script: &str) -> Ran {
    same_words_and_untouched(world, &["bash", "-c", script])
}

#[track_caller]
fn same_words_and_untouched(world: &World, words: &[&str]) -> Ran {
    let before = listing(&world.project);
    let ran = world.shield(words).with(OVERLAY).run().expect_clean();
    let changed = difference(&before, &listing(&world.project));
    assert!(changed.is_empty(), "the host's tree changed:\n{}\n{ran}", changed.join("\n"));
    let native = String::from_utf8_lossy(&world.native(words)).into_owned();
    assert_eq!(ran.text(), native, "natively it says something else\n{ran}");
    let changed = difference(&before, &listing(&world.project));
    assert!(!changed.is_empty(), "natively it changes nothing: no test\n{ran}");
    ran
}

/// The directory of the newest run's record.
fn record(world: &World) -> PathBuf {
    let runs = world.state.join("shieldrun/runs");
    let mut found: Vec<_> =
        fs::read_dir(runs).expect("list the runs").flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.pop().expect("a run")
}

#[test]
fn files_are_made_changed_renamed_and_removed() {
    let world = World::new();
    world.write("old/a", "a\n");
    world.write("old/b", "b\n");
    world.write("old/deep/c", "c\n");
    world.write("other/d", "d\n");
    same_and_untouched(
        &world,
        "set -e; echo new > new; echo more >> README.md; cat README.md; : > src/app.py; chmod 700 old/a\n\
         mv old/a moved; mv moved old/deep/a; rm old/b; ln -s deep/c old/link; ln new hard\n\
         echo through >> hard; cat new hard old/link; stat -c %h hard; mkdir -p made/by/us; rmdir made/by/us\n\
         rm -r other; mkdir other; ls -A other; touch -d @1000000000 README.md; stat -c '%a %Y' README.md old/deep/a\n\
         cp -a old copy; diff -r old copy; find . -path ./.git -prune -o -print | sort",
    );
}

/// The kernel gives the two names two inode numbers, as no unprivileged overlay remembers where a layer's
/// file came from; what is read and written is the one file all the same.
#[test]
fn a_second_name_of_a_file_of_the_host_is_the_same_file() {
    let world = World::new();
    same_and_untouched(
        &world,
        "set -e; ln README.md second; echo one >> second; cat README.md; echo two >> README.md; cat second\n\
         stat -c %h second; rm README.md; cat second",
    );
}

#[test]
fn attributes_holes_and_maps_work() {
    let world = World::new();
    let large = fs::File::create(world.project.join("large")).expect("a file");
    large.set_len(256 << 20).expect("a hole");
    let script = "import os, mmap\n\
        os.setxattr('README.md', 'user.note', b'yes'); print(os.getxattr('README.md', 'user.note'))\n\
        f = open('large', 'r+b'); f.seek(128 << 20); f.write(b'middle'); f.close()\n\
        s = os.stat('large'); print(s.st_size, s.st_blocks < 4096)\n\
        f = open('src/app.py', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0:5] = b'PRINT'; m.close(); f.close()\n\
        print(open('src/app.py').read())\n\
        f = open('holes', 'wb'); f.truncate(1 << 28); f.seek(1 << 27); f.write(b'x'); f.close()\n\
        print(os.stat('holes').st_size, os.stat('holes').st_blocks < 4096)\n\
        os.mkfifo('pipe'); os.chmod('src', 0o2755); print(oct(os.stat('src').st_mode))";
    same_words_and_untouched(&world, &[PYTHON, "-c", script]);
}

#[test]
fn a_directory_of_the_host_is_moved_by_copying() {
    let world = World::new();
    world.write("old/deep/c", "c\n");
    let rename = "import os\n\
        try: os.rename('old', 'renamed'); print('renamed')\n\
        except OSError as e: print(e.errno)";
    let ran = world.shield([PYTHON, "-c", rename]).with(OVERLAY).run().expect_clean();
    assert_eq!(
        ran.text(),
        "18\n",
        "as between file systems (EXDEV), which programs know how to go on from\n{ran}"
    );
    same_and_untouched(
        &world,
        "set -e; mkdir own; mv own mine; mv old renamed; find mine renamed old 2>/dev/null | sort",
    );
}

#[test]
fn git_works() {
    let world = World::new();
    world.set_git_ignore();
    same_and_untouched(
        &world,
        "set -e; export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'\n\
         git status --short; echo one > one; git add one; git commit -qm one; git branch topic\n\
         echo two > two; git add two; git commit -qm two; git checkout -q topic; echo three > three; git add three\n\
         git commit -qm three; git rebase -q main; git log --format='%h %s'; echo changed >> README.md; git stash -q\n\
         git diff --stat; git stash pop -q; git diff --stat; git checkout -q README.md; git checkout -q main\n\
         git merge -q --no-edit topic; git mv one moved; git commit -qm moved; git rm -q two; git commit -qm gone\n\
         git gc -q --prune=now; git fsck --no-progress; git clone -q . clone; git -C clone log --oneline\n\
         git worktree add -q tree topic; git -C tree status --short; git tag -a -m v v1; git describe; git cherry-pick -n HEAD~2 || git reset -q --hard\n\
         git clean -fdq; git status --short",
    );
}

#[test]
fn a_status_reads_no_file_again() {
    let world = World::new();
    // An index as git writes it when nothing is racy: the entries are older than the index.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.native(["git", "status"]);
    // Names each file whose inode, size or times are not those of the index.
    let ran = world.bash("git diff-files --name-only").with(OVERLAY).run();
    ran.expect_clean().expect_text("");
    let ran = world.bash("touch README.md; git diff-files --name-only").with(OVERLAY).run();
    ran.expect_clean().expect_text("README.md\n");
}

#[test]
fn a_database_in_wal_mode_works() {
    let world = World::new();
    let make = "import sqlite3; d = sqlite3.connect('shop.db'); d.execute('pragma journal_mode=wal')\n\
        d.execute('create table t (n)'); d.execute('insert into t values (1)'); d.commit()";
    world.native([PYTHON, "-c", make]);
    assert!(world.project.join("shop.db").exists());
    let script = "import sqlite3, subprocess, sys\n\
        d = sqlite3.connect('shop.db'); print(d.execute('pragma journal_mode').fetchall())\n\
        d.execute('insert into t values (2)'); d.commit()\n\
        other = \"import sqlite3; d = sqlite3.connect('shop.db'); d.execute('insert into t values (3)'); d.commit()\"\n\
        subprocess.run([sys.executable, '-c', other], check=True)\n\
        print(d.execute('select n from t order by n').fetchall()); d.execute('pragma wal_checkpoint(truncate)')";
    same_words_and_untouched(&world, &[PYTHON, "-c", script]);
}

#[test]
fn locks_hold_between_processes() {
    let world = World::new();
    world.write("lock", "");
    let script = "import fcntl, subprocess, sys, os\n\
        f = open('lock', 'r+'); f.write('mine'); f.flush()\n\
        for kind in ('flock', 'lockf'):\n\
        \x20   call = getattr(fcntl, kind); call(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
        \x20   other = 'import fcntl\\nf = open(\"lock\", \"r+\")\\n' \\\n\
        \x20     'try: fcntl.%s(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print(\"free\")\\n' \\\n\
        \x20     'except BlockingIOError: print(\"held\")' % kind\n\
        \x20   run = lambda: print(kind, subprocess.run([sys.executable, '-c', other], capture_output=True, text=True).stdout.strip())\n\
        \x20   run(); call(f, fcntl.LOCK_UN); run()";
    let ran = same_words_and_untouched(&world, &[PYTHON, "-c", script]);
    assert_eq!(ran.text(), "flock held\nflock free\nlockf held\nlockf free\n", "{ran}");
}

#[test]
fn changes_are_notified() {
    let world = World::new();
    let script = "import ctypes, os, struct\n\
        libc = ctypes.CDLL(None, use_errno=True); fd = libc.inotify_init1(0)\n\
        assert libc.inotify_add_watch(fd, b'src', 0x2 | 0x100 | 0x200 | 0xc0) > 0\n\
        open('src/app.py', 'a').write('# more'); open('src/new', 'w').close()\n\
        os.rename('src/new', 'src/newer'); os.unlink('src/newer')\n\
        data = os.read(fd, 4096); at = 0\n\
        while at < len(data):\n\
        \x20   _, mask, _, size = struct.unpack_from('iIII', data, at)\n\
        \x20   print(hex(mask), data[at + 16:at + 16 + size].rstrip(b'\\0').decode()); at += 16 + size";
    same_words_and_untouched(&world, &[PYTHON, "-c", script]);
}

#[test]
fn the_layer_has_what_changed_and_nothing_else() {
    let world = World::new();
    world.bash("rm README.md; echo x > made; echo y >> src/app.py").with(OVERLAY).run().expect_clean();
    let record = record(&world);
    let upper: Vec<_> = listing(&record.join("upper")).into_keys().collect();
    let names: Vec<_> =
        upper.iter().filter_map(|path| path.strip_prefix(record.join("upper")).ok()).collect();
    assert_eq!(names, ["", "README.md", "made", "src", "src/app.py"].map(Path::new));

    world.bash("cat README.md").with(OVERLAY).run().expect_clean();
    assert_eq!(
        listing(&self::record(&world).join("upper")).len(),
        1,
        "a run that wrote nothing left something"
    );
}

#[test]
fn a_workspace_of_any_name_can_be_one() {
    let world = World::new();
    for name in ["with:colon", "with,comma", "with\\backslash", "with\nnewline", "with space\u{e9}", "-o"] {
        let project = world.home.join(name);
        put(&project.join("file"), b"host\n", 0o644);
        let before = listing(&project);
        let ran = world.bash("echo inside > file; cat file").in_directory(&project).with(OVERLAY).run();
        ran.expect_clean().expect_text("inside\n");
        assert!(difference(&before, &listing(&project)).is_empty(), "{name:?}");
    }
}

#[test]
fn a_workspace_beneath_tmp_can_be_one() {
    let world = World::below(Path::new("/tmp"));
    same_and_untouched(&world, "echo inside > made; cat made; rm README.md; ls");
}

#[test]
fn the_home_itself_can_be_one() {
    let world = World::new();
    // The record lies in the workspace then.
    let before = listing(&world.home);
    let state = world.home.join(".local/state");
    let script = "echo inside > made; cat made; ls .local/state/shieldrun; find . -name run.json; cat .aws/credentials";
    let ran = world.bash(script).in_directory(&world.home).set("XDG_STATE_HOME", &state).with(OVERLAY).run();
    ran.assert_nothing_real();
    assert!(ran.text().starts_with("inside\n") && !ran.text().contains("run.json"), "{ran}");
    let changed = difference(&before, &listing(&world.home));
    assert!(
        changed
            .iter()
            .all(|line| line.contains(".local") || line.starts_with(&format!("changed: {:?}", world.home))),
        "{changed:?}"
    );
    assert!(!world.home.join("made").exists());
}

#[test]
fn a_mount_beneath_the_workspace_is_named() {
    let world = World::new();
    let mounted = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none src && exec \"$@\"", "-"];
    let ran = world.bash("true").started_by(mounted).with(OVERLAY).run().expect_code(125);
    let src = world.project.join("src");
    assert!(ran.said().contains(&format!("`{}` is mounted in it", src.display())), "{ran}");
    assert!(ran.said().contains("--writes direct"), "{ran}");
    // The twin.
    world.bash("true").started_by(mounted).with(["--writes", "direct"]).run().expect_clean();
}

#[test]
fn a_masked_file_stays_masked() {
    let world = World::new();
    let script = "cat .env; mv .env x; ln .env y; cp .env z; cat x y z; rm -f .env; cat .env; echo A=b > .env; cat .env\n\
        mv packages p; cat p/web/.env.local packages/web/.env.local; git stash -q; cat .env; true";
    let ran = world.bash(script).with(OVERLAY).run();
    ran.assert_nothing_real();
    assert!(ran.text().contains("DATABASE_PASSWORD="), "{ran}");
}

#[test]
fn a_masked_file_that_the_host_replaces_stays_masked_and_the_run_goes_on() {
    let mut world = World::new();
    let mut running = world
        .bash("echo ready; read line; cat .env; ls -A; echo on; read line; cat .env; echo done")
        .with(OVERLAY)
        .start();
    running.await_text("ready");
    let secret = world.plant("the new .env", "x7Kq9mZ2pL4vT8wB3nR6yD1s");
    put(&world.project.join(".env.new"), format!("DATABASE_PASSWORD={secret}\n").as_bytes(), 0o644);
    fs::rename(world.project.join(".env.new"), world.project.join(".env")).expect("replace it");
    running.say(b"\n");
    running.await_text("on");
    fs::remove_file(world.project.join(".env")).expect("remove it");
    running.say(b"\n");
    let ran = running.wait().expect_clean();
    assert!(ran.text().contains("done"), "{ran}");
    assert!(!ran.text().contains(&secret), "{ran}");
}

#[test]
fn without_namespaces_there_is_no_overlay() {
    let world = World::new();
    let ran =
        world.bash("echo x > made").with(OVERLAY).with(["--isolation", "preload"]).run().expect_code(125);
    assert!(ran.said().contains("overlay") && ran.said().contains("--writes direct"), "{ran}");
    assert!(!world.project.join("made").exists());
    let direct = ["--isolation", "preload", "--writes", "direct"];
    world.bash("echo x > made").with(direct).run().expect_clean();
    assert!(world.project.join("made").exists());
}

#[test]
fn modes_of_the_root_are_those_of_the_workspace() {
    let world = World::new();
    fs::set_permissions(&world.project, fs::Permissions::from_mode(0o2751)).expect("chmod");
    symlink("README.md", world.project.join("link")).expect("a link");
    let script = "stat -c '%a %u %g %Y' .; touch made; stat -c %a .";
    same_and_untouched(&world, script);
}

impl World {
    /// What shieldrun masks must not be in the way of `git clean` and `stash` natively and inside alike.
    fn set_git_ignore(&self) {
        self.write(".gitignore", ".env\npackages\n");
        self.native(["git", "add", ".gitignore"]);
        self.native(["git", "commit", "--quiet", "--message", "ignore"]);
    }
}

#[test]
fn files_of_others_can_be_moved_and_written_by_root() {
    let world = World::new();
    world.write("theirs/file", "old\n");
    if std::os::unix::fs::chown(world.project.join("theirs/file"), Some(1234), Some(1234)).is_err() {
        // An ordinary user cannot make such a file; nor could it be copied up by one.
        return;
    }
    std::os::unix::fs::chown(world.project.join("theirs"), Some(1234), Some(1234)).expect("chown");
    fs::set_permissions(world.project.join("theirs"), fs::Permissions::from_mode(0o777)).expect("chmod");
    fs::set_permissions(world.project.join("theirs/file"), fs::Permissions::from_mode(0o666)).expect("chmod");
    same_and_untouched(
        &world,
        "set -e; echo new >> theirs/file; cat theirs/file; stat -c %u theirs/file theirs; mv theirs/file moved\n\
         stat -c %u moved; echo mine > theirs/mine; stat -c %u theirs/mine",
    );
    // It got no power over them by that.
    let script = "chown 0 moved; chmod 600 theirs; cat theirs/closed; su nobody -s /bin/true; true";
    world.write("moved", "");
    world.write("theirs/closed", "closed\n");
    std::os::unix::fs::chown(world.project.join("theirs/closed"), Some(1234), Some(1234)).expect("chown");
    fs::set_permissions(world.project.join("theirs/closed"), fs::Permissions::from_mode(0o600))
        .expect("chmod");
    std::os::unix::fs::chown(world.project.join("moved"), Some(1234), Some(1234)).expect("chown");
    let ran = world.bash(script).with(OVERLAY).run().expect_clean();
    assert!(ran.text().is_empty() && ran.said().lines().count() >= 4, "{ran}");
}

/// A container's root is an overlay, and that cannot hold another's layer.
#[test]
fn a_record_that_cannot_hold_a_layer_gets_it_from_memory() {
    let world = World::new();
    let parts = world.beside("parts");
    for part in ["lower", "upper", "work"] {
        fs::create_dir(parts.join(part)).expect("a directory");
    }
    let mount = format!(
        "mount -t overlay none -o lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work,userxattr {1} && exec \"$@\"",
        parts.display(),
        world.state.display()
    );
    let container = ["unshare", "-Urm", "sh", "-c", &mount, "-"];
    let script = "rm README.md; echo x > made; mkdir -p a/b; ln made a/b/second; ln -s made link; chmod 600 src/app.py\n\
        echo y > ~/y && cat ~/y; stat -f -c %T ~ .";
    let ran = world.bash(script).started_by(container).with(["--writes", "overlay"]).run().expect_clean();
    assert!(ran.text().starts_with("y\n"), "{ran}");
    let run =
        fs::read_dir(parts.join("upper/shieldrun/runs")).expect("the runs").flatten().next().expect("a run");
    let record = fs::read_to_string(run.path().join("run.json")).expect("a record");
    assert!(record.contains("was kept in memory"), "{record}");
    assert!(run.path().join("upper/made").exists(), "{ran}");
    // What the gate took from there.
    assert!(!world.project.join("README.md").exists(), "{ran}");
    assert_eq!(fs::read(world.project.join("a/b/second")).expect("read"), b"x\n");
}
