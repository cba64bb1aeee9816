//! Builds work on the overlay and in the private home as they do natively, and leave the host as it was.

use crate::harness::host::{difference, listing};
use crate::harness::{World, put};
use std::path::Path;
use std::time::Duration;

/// Held, so that what the gate would accept does not reach the host either.
const OVERLAY: [&str; 4] = ["--writes", "overlay", "--review", "always"];

/// Inside, where home and workspace stay as they were, and then natively, where it says the same.
#[track_caller]
fn same_and_untouched(world: &World, script: &str) {
    let before = listing(&world.home);
    let ran = world.bash(script).with(OVERLAY).at_most(Duration::from_secs(120)).run().expect_clean();
    let changed = difference(&before, &listing(&world.home));
    assert!(changed.is_empty(), "the host's tree changed:\n{}\n{ran}", changed.join("\n"));
    let native = String::from_utf8_lossy(&world.native(["bash", "-c", script])).into_owned();
    assert_eq!(ran.text(), native, "natively it says something else\n{ran}");
    assert!(!difference(&before, &listing(&world.home)).is_empty(), "natively it changes nothing: no test");
}

#[test]
fn cargo_builds_and_tests() {
    let world = World::new();
    world.write(
        "crate/Cargo.toml",
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\npart = { path = \"part\" }\n[workspace]\n",
    );
    world.write("crate/src/main.rs", "fn main() { println!(\"{}\", part::answer()) }\n#[test]\nfn holds() { assert_eq!(part::answer(), 42) }\n");
    world.write(
        "crate/part/Cargo.toml",
        "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    world.write("crate/part/src/lib.rs", "pub fn answer() -> u8 { 42 }\n");
    // Toolchains of Debian: those of a version manager lie in another's home.
    put(&world.home.join(".cargo/config.toml"), b"[term]\nquiet = true\n", 0o644);
    same_and_untouched(
        &world,
        "set -e; cd crate; export PATH=/usr/bin:/bin; cargo build --offline --quiet; ./target/debug/shop\n\
         cargo test --offline --quiet 2>&1 | grep -c 'test result: ok'; touch src/main.rs; cargo build --offline --quiet; ls target/debug/shop",
    );
}

#[test]
fn npm_installs_from_a_lock_file() {
    let world = World::new();
    world.write(
        "dep/package.json",
        "{\"name\": \"dep\", \"version\": \"1.0.0\", \"bin\": {\"dep\": \"run.js\"}}",
    );
    world.write("dep/run.js", "#!/usr/bin/env node\nconsole.log('dep runs')\n");
    world.write(
        "app/package.json",
        "{\"name\": \"app\", \"version\": \"1.0.0\", \"scripts\": {\"start\": \"dep\", \"postinstall\": \"node -e 'console.log(6 * 7)' > made\"},\n\
          \"dependencies\": {\"dep\": \"file:../dep-1.0.0.tgz\"}}",
    );
    let set_up = "cd dep && npm pack --silent --pack-destination .. && cd ../app && npm install --offline --package-lock-only --silent --no-audit --no-fund";
    world.native(["bash", "-c", set_up]);
    assert!(world.project.join("app/package-lock.json").exists(), "npm made no lock file");
    // There already, as after yesterday's install: npm takes the old tree away by renaming.
    world.native(["bash", "-c", "cd app && npm ci --offline --silent --no-audit --no-fund"]);
    assert!(Path::new(&world.project.join("app/node_modules/dep/run.js")).exists(), "npm installed nothing");
    same_and_untouched(
        &world,
        "set -e; cd app; npm ci --offline --silent --no-audit --no-fund; cat made; npm start --silent; npm ls --offline --depth=0 | tail -n +2",
    );
}

#[test]
fn make_and_a_configure_like_script_work() {
    let world = World::new();
    world.write("Makefile", "prog: a.o b.o\n\tcc -o prog a.o b.o\n%.o: %.c\n\tcc -c -o $@ $<\n");
    world.write("a.c", "int b(void); int main(void) { return b(); }\n");
    world.write("b.c", "int b(void) { return 7; }\n");
    same_and_untouched(
        &world,
        "for n in 1 2 3 4 5 6 7 8; do echo 'int main(void){return 0;}' > conf$n.c; cc -o conf$n conf$n.c && ./conf$n && echo yes; rm -f conf$n conf$n.c; done\n\
         make -s -j4; ./prog; echo $?; sed -i s/7/8/ b.c; make -s; ./prog; echo $?; make -q && echo 'up to date'",
    );
}
