//! What was touched is on record: who, what, when, in a chain that shows every change to it.

use crate::harness::documented::{missing_keys, missing_of_event};
use crate::harness::probe::{ASKER, DYNAMIC, LAUNCHERS, RAW, STATIC};
use crate::harness::{PYTHON, Ran, Record, World, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The path of the program behind a name: what the kernel calls it, links followed.
fn program(path: &str) -> String {
    fs::canonicalize(path).expect("the program exists").display().to_string()
}

/// The events of one variable read by one program.
fn reads<'r>(ran: &'r Ran, name: &str, executable: &str) -> Vec<&'r Value> {
    let by = |event: &&Value| text(event, "/process/executable") == executable;
    ran.record.reads_of(name).into_iter().filter(by).collect()
}

/// The directory of the only run in a world.
fn record_of(world: &World) -> PathBuf {
    let runs = world.state.join("shieldrun/runs");
    let mut found: Vec<_> = fs::read_dir(&runs).expect("list the runs").flatten().map(|e| e.path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn every_line_keeps_to_the_contract_and_the_chain_holds() {
    let world = World::new();
    let script = "echo $GITHUB_TOKEN >/dev/null; node -e 'process.env.OPENAI_API_KEY'; cat ~/.ssh/id_rsa .env; git status >/dev/null; exit 0";
    let ran = world.bash(script).run().expect_clean();
    let faults = ran.record.faults();
    assert!(faults.is_empty(), "{}\n{ran}", faults.join("\n"));
    assert!(ran.record.events.len() > 10, "{ran}");
    let ids: std::collections::HashSet<_> =
        ran.record.events.iter().map(|event| text(event, "/shieldrun/run_id").to_owned()).collect();
    assert_eq!(ids.len(), 1, "{ran}");
}

#[test]
fn a_changed_line_breaks_the_chain() {
    let world = World::new();
    let ran = world.bash("cat .env >/dev/null").run().expect_clean();
    let mut bytes = ran.record.event_bytes.clone();
    let at = memchr::memmem::find(&bytes, b"\"pid\":").expect("an event names a process") + 6;
    bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
    let forged = Record { event_bytes: bytes, ..Record::default() };
    assert!(forged.faults().iter().any(|fault| fault.contains("chain")), "the suite's own check is blind");
}

#[test]
fn the_stream_is_the_record() {
    let world = World::new();
    let ran = world.bash("cat .env >/dev/null").run().expect_clean();
    let record = record_of(&world);
    assert_eq!(fs::read(record.join("events.jsonl")).expect("read"), ran.record.event_bytes, "{ran}");
    let run: Value = serde_json::from_slice(&fs::read(record.join("run.json")).expect("read")).expect("JSON");
    assert!(run.is_object());
}

#[test]
fn events_come_while_the_command_still_runs() {
    let world = World::new();
    let probe = world.probe(&DYNAMIC);
    let shield = world.shield([probe.as_os_str(), "hold".as_ref(), "GITHUB_TOKEN".as_ref()]);
    let events = shield.record_directory().join("events");
    let mut running = shield.start();
    running.await_text("ready");
    let seen = || fs::read_to_string(&events).unwrap_or_default().contains("secret-env-read");
    assert!(crate::harness::host::soon(seen), "no event before the end");
    drop(running.wait());
}

#[test]
fn events_go_to_a_descriptor_too() {
    let world = World::new();
    let shell = "exec 9>\"$HOME/events\"; exec \"$@\"";
    let prepared = world.bash("echo $GITHUB_TOKEN > /dev/null");
    let words = prepared.words();
    let output = std::process::Command::new("bash")
        .args(["-c", shell, "-"])
        .arg(&words[0])
        .args(["--events", "fd:9", "--", "bash", "-c", ": < /proc/self/fd/9 && echo crossed; true"])
        .env_clear()
        .envs(world.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&world.project)
        .output()
        .expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"", "the descriptor of the events must not cross");
    let events = fs::read_to_string(world.home.join("events")).expect("read");
    assert!(events.contains("run-started") && events.contains("run-ended"), "{events}");
}

#[test]
fn start_and_end_are_recorded() {
    let world = World::new();
    let ran = world.bash("exit 7").run().expect_code(7);
    let (started, ended) = (ran.record.of("run-started"), ran.record.of("run-ended"));
    assert_eq!((started.len(), ended.len()), (1, 1), "{ran}");
    assert_eq!(ran.record.events.first(), started.first().copied(), "{ran}");
    assert_eq!(ran.record.events.last(), ended.first().copied(), "{ran}");
    let result = &ran.record.result;
    assert_eq!(result.pointer("/exit/code"), Some(&Value::from(7)), "{ran}");
    assert_eq!(result.pointer("/exit/shieldrun"), Some(&Value::Null), "{ran}");
    assert_eq!(result.pointer("/isolation"), Some(&Value::from("full")), "{ran}");
    assert_eq!(result.pointer("/command/0"), Some(&Value::from("bash")), "{ran}");
    assert!(result.pointer("/duration_seconds").is_some_and(|v| v.is_f64()), "{ran}");
    assert!(Path::new(text(result, "/record")).is_dir(), "{ran}");
}

#[test]
fn each_replaced_secret_is_named_once() {
    let world = World::new();
    let ran = world.bash("true").run().expect_clean();
    let names: Vec<_> = ran
        .record
        .of("secret-replaced")
        .iter()
        .map(|e| text(e, "/shieldrun/secret/name").to_owned())
        .collect();
    for name in ["GITHUB_TOKEN", "DATABASE_URL", "MY_SERVICE_TOKEN", "DEPLOY_KEY"] {
        assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{name}\n{ran}");
    }
    for path in [world.project.join(".env"), world.home.join(".aws/credentials")] {
        let of_file = |e: &&&Value| text(e, "/file/path") == path.to_string_lossy();
        assert!(ran.record.of("secret-replaced").iter().any(|e| of_file(&e)), "{path:?}\n{ran}");
    }
    let replaced = ran.record.result.pointer("/secrets/replaced").and_then(Value::as_u64);
    assert!(replaced.is_some_and(|count| count >= 15), "{ran}");
}

#[test]
fn a_read_variable_names_process_program_and_secret() {
    let world = World::new();
    let probe = world.probe(&DYNAMIC);
    let script =
        format!("{} env GITHUB_TOKEN HOME & wait; node -e 'process.env.STRIPE_SECRET_KEY'", probe.display());
    let ran = world.bash(&script).run().expect_clean();
    let found = reads(&ran, "GITHUB_TOKEN", &probe.display().to_string());
    assert_eq!(found.len(), 1, "{ran}");
    let event = found[0];
    assert_eq!(text(event, "/event/provider"), "shim", "{ran}");
    assert_eq!(text(event, "/shieldrun/trust"), "claim", "{ran}");
    assert!(!text(event, "/shieldrun/secret/kind").is_empty(), "{ran}");
    let pid = event.pointer("/process/pid").and_then(Value::as_u64);
    assert!(pid.is_some_and(|pid| pid > 2), "{ran}");
    assert!(ran.record.reads_of("HOME").is_empty(), "HOME is no secret\n{ran}");
    assert_eq!(reads(&ran, "STRIPE_SECRET_KEY", &program("/usr/bin/node")).len(), 1, "{ran}");
}

#[test]
fn the_result_says_who_touched_what() {
    let world = World::new();
    let probe = world.probe(&DYNAMIC);
    let ran = world.shield([probe.as_os_str(), "env".as_ref(), "GITHUB_TOKEN".as_ref()]).run().expect_clean();
    let touched =
        ran.record.result.pointer("/secrets/touched").and_then(Value::as_array).cloned().unwrap_or_default();
    let hit = touched.iter().find(|t| text(t, "/name") == "GITHUB_TOKEN");
    let hit = hit.unwrap_or_else(|| panic!("GITHUB_TOKEN is not among the touched\n{ran}"));
    assert_eq!(text(hit, "/by"), probe.display().to_string(), "{ran}");
    assert_eq!(hit.pointer("/count"), Some(&Value::from(1)), "{ran}");
}

#[test]
fn the_shim_is_there_after_a_cleared_environment() {
    let world = World::new();
    let path = world.home.join(".ssh/id_rsa");
    for start in ["env -i", "env -i bash -c '\"$@\"' -", "env -u LD_PRELOAD", "unset LD_PRELOAD;"] {
        let script = format!("{start} {} cat {}", world.probe(&DYNAMIC).display(), path.display());
        let ran = world.bash(&script).run().expect_clean().expect_text("BLOCKED EACCES\n");
        let claimed = ran.record.of("secret-file-denied");
        let claimed = claimed.iter().filter(|e| text(e, "/event/provider") == "shim").count();
        assert!(claimed >= 1, "`{start}` lost the shim\n{ran}");
    }
}

#[test]
fn every_member_of_the_exec_family_keeps_the_shim() {
    let world = World::new();
    let (starter, reader) = (world.probe(&LAUNCHERS), world.probe(&DYNAMIC));
    let path = world.home.join(".ssh/id_rsa");
    for how in [
        "execve",
        "execv",
        "execvp",
        "execvpe",
        "execl",
        "execlp",
        "execle",
        "execveat",
        "fexecve",
        "posix_spawn",
        "posix_spawnp",
        "vfork",
        "system",
        "popen",
    ] {
        let words = [starter.as_os_str(), how.as_ref(), reader.as_os_str(), "cat".as_ref(), path.as_os_str()];
        let ran = world.shield(words).run().expect_clean().expect_text("BLOCKED EACCES\n");
        let by_shim = |e: &&&Value| {
            text(e, "/event/provider") == "shim" && text(e, "/process/executable") == reader.to_string_lossy()
        };
        assert!(
            ran.record.of("secret-file-denied").iter().any(|e| by_shim(&e)),
            "{how} lost the shim\n{ran}"
        );
        // The twin: an ordinary file goes through, by the same way.
        let note = world.home.join("notes.txt");
        let words = [starter.as_os_str(), how.as_ref(), reader.as_os_str(), "cat".as_ref(), note.as_os_str()];
        world.shield(words).run().expect_clean().expect_text("nothing to hide\n");
    }
}

#[test]
fn a_refused_file_is_an_event_with_its_path() {
    let world = World::new();
    let path = world.home.join(".ssh/id_ed25519");
    let ran = world.shield(["cat".as_ref(), path.as_os_str()]).run().expect_code(1);
    ran.assert_nothing_real();
    let denied = ran.record.of("secret-file-denied");
    let event = denied.iter().find(|e| text(e, "/file/path") == path.to_string_lossy());
    let event = event.unwrap_or_else(|| panic!("no event names {path:?}\n{ran}"));
    assert_eq!(text(event, "/process/executable"), program("/bin/cat"), "{ran}");
    assert_eq!(text(event, "/event/outcome"), "failure", "{ran}");
}

#[test]
fn a_synthetic_file_that_was_read_is_an_event() {
    let world = World::new();
    let ran = world.shield([PYTHON, "-c", "print(len(open('.env').read()) > 0)"]).run().expect_clean();
    assert!(
        ran.record.touched(&world.project.join(".env")) || ran.record.touched(Path::new(".env")),
        "{ran}"
    );
    let ran = world.shield([PYTHON, "-c", "print(len(open('README.md').read()) > 0)"]).run().expect_clean();
    assert!(ran.record.of("secret-file-read").is_empty(), "an ordinary file is no event\n{ran}");
}

#[test]
fn two_hundred_thousand_reads_are_folded_and_counted() {
    let world = World::new();
    let probe = world.probe(&ASKER);
    let script =
        format!("{0} 100000 GITHUB_TOKEN OPENAI_API_KEY & {0} 3 GITHUB_TOKEN; wait", probe.display());
    let ran = world.bash(&script).run().expect_clean();
    assert!(ran.text().contains("200000\n"), "{ran}");
    let executable = probe.display().to_string();
    let dropped: u64 = ran.record.of("events-dropped").iter().map(|e| Record::count(e)).sum();
    for (name, asked) in [("GITHUB_TOKEN", 100_003), ("OPENAI_API_KEY", 100_000)] {
        let found = reads(&ran, name, &executable);
        let mut pids: Vec<_> = found.iter().filter_map(|e| e.pointer("/process/pid")?.as_u64()).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(
            pids.len(),
            if name == "GITHUB_TOKEN" { 2 } else { 1 },
            "the first of each pair is kept\n{ran}"
        );
        for pid in pids {
            let first = found.iter().find(|e| e.pointer("/process/pid").and_then(Value::as_u64) == Some(pid));
            assert_eq!(first.map(|e| Record::count(e)), Some(1), "the first stands alone\n{ran}");
        }
        let counted: u64 = found.iter().map(|e| Record::count(e)).sum();
        assert!(
            counted <= asked && counted + dropped >= asked,
            "{name}: {counted} of {asked}, {dropped} dropped\n{ran}"
        );
    }
    assert!(ran.record.event_bytes.len() < 256 * 1024, "{} bytes of events", ran.record.event_bytes.len());
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
}

#[test]
fn many_processes_lose_no_first_event() {
    let world = World::new();
    let probe = world.probe(&ASKER);
    let script = format!(
        "for i in $(seq 300); do {} 2 GITHUB_TOKEN >/dev/null & (( i % 20 )) || wait; done; wait",
        probe.display()
    );
    let ran = world.bash(&script).run().expect_clean();
    let mut pids: Vec<_> = reads(&ran, "GITHUB_TOKEN", &probe.display().to_string())
        .iter()
        .filter_map(|e| e.pointer("/process/pid")?.as_u64())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    let dropped: u64 = ran.record.of("events-dropped").iter().map(|e| Record::count(e)).sum();
    assert!(pids.len() as u64 + dropped >= 300, "{} processes, {dropped} dropped\n{ran}", pids.len());
}

#[test]
fn programs_that_the_shim_cannot_reach_run_all_the_same() {
    let world = World::new();
    for probe in [STATIC, RAW] {
        let path = world.home.join("notes.txt");
        let how = if probe.has_libc() { "cat" } else { "openat" };
        let ran = world.shield([world.probe(&probe).as_os_str(), how.as_ref(), path.as_os_str()]).run();
        ran.expect_clean().expect_text("nothing to hide\n");
    }
}

#[test]
fn a_trace_ends_with_who_started_whom_and_what_to_do_about_denials() {
    let world = World::new();
    let script = "cat .env >/dev/null; sh -c 'cat ~/.ssh/id_rsa; true'; mkdir -p .github/workflows; \
                  echo a > .github/workflows/a.yml; echo b > plain.txt";
    let ran = world.bash(script).run().expect_clean();
    let output = std::process::Command::new(crate::harness::binary())
        .args(["trace", "last"])
        .env_clear()
        .envs(world.environment.iter().cloned())
        .output()
        .expect("run shieldrun");
    let trace = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{trace}\n{ran}");
    let of = |title: &str| {
        let start = trace.find(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no {title} in\n{trace}"));
        trace[start + 1..].split("\n\n").next().unwrap_or_default().to_owned()
    };
    let tree = of("processes");
    let depth = |what: &str| {
        let line = tree
            .lines()
            .find(|line| line.trim_start().starts_with(what))
            .unwrap_or_else(|| panic!("{what}\n{tree}"));
        line.len() - line.trim_start().len()
    };
    assert!(depth("bash -c") < depth("cat .env") && depth("sh -c") < depth("cat /"), "{tree}");
    let denied = of("denied");
    assert!(denied.contains("id_rsa") && denied.contains("in your own policy"), "{denied}");
    assert!(of("secrets touched").contains(".env"), "{trace}");
    let changes = of("changes");
    assert!(changes.contains("plain.txt") && changes.contains("shieldrun approve"), "{changes}");
}

#[test]
fn what_a_record_holds_is_in_the_document() {
    let world = crate::changes::world();
    let script = "echo more >> a.txt; mv b.txt moved.txt; rm c.txt; ln -s a.txt link; echo 'all: ; true' > Makefile\n\
        echo x >> d.txt; git commit --quiet -am more; printf 'odd' > $(printf 'n\\377')";
    let ran = world.bash(script).run().expect_clean();
    assert!(!ran.record.events.is_empty(), "{ran}");
    crate::changes::said(&crate::changes::verb(&world, &["approve", "last", "-m", "fine"]), 0);
    let record = record_of(&world);
    let read = |name: &str| fs::read_to_string(record.join(name)).expect("there");
    let object = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(missing_keys("run.json", &without_result(object(&read("run.json"))), "policy"), [""; 0]);
    assert_eq!(missing_keys("verdict.json", &object(&read("verdict.json")), ""), [""; 0]);
    let changes = read("changes.jsonl");
    assert!(changes.lines().count() > 5, "{changes}");
    for line in changes.lines() {
        assert_eq!(missing_keys("changes.jsonl", &object(line), ""), [""; 0], "{line}");
    }
    for line in read("events.jsonl").lines() {
        assert_eq!(missing_of_event(&object(line)), [""; 0], "{line}");
    }
    // The twin: what is not in it is found.
    assert_eq!(missing_keys("verdict.json", &serde_json::json!({"made_up": 1}), ""), ["made_up"]);
    assert_eq!(missing_of_event(&serde_json::json!({"event": {"made_up": 1}})).len(), 2);
}

/// That has a section of its own, to which every run is held.
fn without_result(mut run: Value) -> Value {
    run["result"] = Value::Null;
    run
}

#[test]
fn nothing_inside_can_write_the_log() {
    let world = World::new();
    let script = "find / -xdev -name events.jsonl -writable 2>/dev/null; \
                  for f in $(find \"$XDG_STATE_HOME\" -type f 2>/dev/null); do echo forged >> $f && echo ALLOWED; done 2>/dev/null; true";
    let ran = world.bash(script).run().expect_clean().expect_text("");
    assert!(ran.record.faults().is_empty(), "{ran}");
    let record = fs::read(record_of(&world).join("events.jsonl")).expect("read");
    assert!(memchr::memmem::find(&record, b"forged\n").is_none());
}
