//! A real value on its way out stops the run, in whatever coding; what only looks alike does not.
//!
//! No real value is inside, so the tests smuggle one in: hidden from everything that looks for it, and
//! made plain again by the program that then prints it.

use crate::harness::made_up::{aws_secret, custom, github, hex, word};
use crate::harness::{PYTHON, Ran, World, text};

/// A program that knows `value` in disguise and prints it in a coding.
pub(crate) fn printing(value: &str, coding: &str) -> Vec<String> {
    let disguised: Vec<u8> = value.bytes().map(|byte| byte ^ 0x55).collect();
    let program = "
import base64, sys, time, urllib.parse
v = bytes(b ^ 0x55 for b in bytes.fromhex(sys.argv[1]))
kind, out = sys.argv[2], sys.stdout.buffer
coded = {
    'plain': lambda: v,
    'base64-0': lambda: base64.b64encode(v),
    'base64-1': lambda: base64.b64encode(b'x' + v + b'yz'),
    'base64-2': lambda: base64.b64encode(b'xx' + v + b'y'),
    'base64url-0': lambda: base64.urlsafe_b64encode(v).rstrip(b'='),
    'base64url-1': lambda: base64.urlsafe_b64encode(b'x' + v + b'y'),
    'base64url-2': lambda: base64.urlsafe_b64encode(b'xx' + v + b'yz'),
    'hex': lambda: v.hex().encode(),
    'HEX': lambda: v.hex().upper().encode(),
    'percent': lambda: urllib.parse.quote(v, safe='').encode(),
    'percent-all': lambda: b''.join(b'%%%02X' % b for b in v),
    'among': lambda: b'{\"token\":\"' + v + b'\"}',
}
if kind == 'bytewise':
    for at in range(len(v)):
        out.write(v[at:at + 1]); out.flush(); time.sleep(0.002)
elif kind == 'halves':
    out.write(b'a' * 65530 + v[:20]); out.flush(); time.sleep(0.3); out.write(v[20:] + b'b' * 99); out.flush()
elif kind == 'stderr':
    sys.stderr.buffer.write(v); sys.stderr.flush()
elif kind == 'late':
    out.write(b'fine\\n' * 200000); out.write(v); out.flush()
else:
    out.write(coded[kind]()); out.flush()
time.sleep(0.05)
print(' after')
sys.stdout.flush()
time.sleep(30)
";
    [PYTHON, "-c", program, &hex(&disguised), coding].map(str::to_owned).to_vec()
}

/// Asserts that the value of `place` was stopped, and everything that goes with it.
#[track_caller]
fn stopped(world: &World, coding: &str, place: &str) -> Ran {
    let ran = world.shield(printing(world.real(place), coding)).run().expect_code(120);
    ran.assert_nothing_real();
    let events = ran.record.of("leak-stopped");
    assert_eq!(events.len(), 1, "{coding}\n{ran}");
    assert_eq!(text(events[0], "/shieldrun/secret/name"), place, "{coding}\n{ran}");
    assert_eq!(text(&ran.record.result, "/exit/shieldrun"), "leak", "{ran}");
    let said = ran.said();
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("shieldrun:")).collect();
    assert_eq!(lines.len(), 1, "one clear line\n{ran}");
    assert!(lines[0].contains(place), "it names the secret\n{ran}");
    assert!(!ran.text().contains("after"), "nothing comes after it\n{ran}");
    ran
}

/// Asserts that a value that is no secret of this run passes in the same coding.
#[track_caller]
fn passes(world: &World, coding: &str, value: &str) {
    let mut words = printing(value, coding);
    words[2] = words[2].replace("time.sleep(30)", "");
    let ran = world.shield(words).run().expect_code(0);
    assert!(ran.text().ends_with(" after\n"), "{coding}\n{ran}");
    assert!(ran.record.of("leak-stopped").is_empty(), "{coding}\n{ran}");
}

const CODINGS: [&str; 12] = [
    "plain",
    "base64-0",
    "base64-1",
    "base64-2",
    "base64url-0",
    "base64url-1",
    "base64url-2",
    "hex",
    "HEX",
    "percent",
    "percent-all",
    "among",
];

#[test]
fn a_token_is_stopped_in_every_coding() {
    let world = World::new();
    for coding in CODINGS {
        let ran = stopped(&world, coding, "GITHUB_TOKEN");
        assert!(ran.text().is_empty() || coding == "among", "the chunk is withheld\n{ran}");
    }
}

#[test]
fn a_token_of_another_run_passes_in_every_coding() {
    let world = World::new();
    for coding in CODINGS {
        passes(&world, coding, &github("ghp"));
    }
}

#[test]
fn a_value_with_odd_characters_is_stopped_in_every_coding() {
    let mut world = World::new();
    // `+`, `/` and `=` are what the codings treat in different ways.
    let secret = world.plant("AWS_SECRET_ACCESS_KEY_2", format!("+/{}/+", &aws_secret()[..36]));
    world.set("AWS_SECRET_ACCESS_KEY_2", secret);
    for coding in CODINGS {
        stopped(&world, coding, "AWS_SECRET_ACCESS_KEY_2");
    }
    passes(&world, "percent", &aws_secret());
}

#[test]
fn a_password_inside_a_url_is_stopped() {
    let world = World::new();
    stopped(&world, "plain", "DATABASE_URL");
    stopped(&world, "base64-1", "DATABASE_URL");
    passes(&world, "plain", "postgresql://app@db.example.com:5432/shop");
}

#[test]
fn a_value_without_a_known_form_is_stopped() {
    let world = World::new();
    stopped(&world, "plain", "MY_SERVICE_TOKEN");
    passes(&world, "plain", &custom());
}

#[test]
fn a_line_of_a_private_key_is_stopped() {
    let world = World::new();
    let ran = world.shield(printing(world.real("DEPLOY_KEY"), "plain")).run().expect_code(120);
    ran.assert_nothing_real();
}

#[test]
fn a_value_of_a_file_is_stopped() {
    let world = World::new();
    for place in [".env DATABASE_PASSWORD", "~/.aws/credentials work secret", "packages/web/.env.local"] {
        let ran = world.shield(printing(world.real(place), "plain")).run().expect_code(120);
        ran.assert_nothing_real();
        assert_eq!(ran.record.of("leak-stopped").len(), 1, "{place}\n{ran}");
    }
}

#[test]
fn a_value_of_a_blocked_file_is_stopped() {
    let world = World::new();
    let ran = world.shield(printing(world.real("~/.ssh/id_rsa"), "plain")).run().expect_code(120);
    ran.assert_nothing_real();
}

#[test]
fn a_value_split_over_many_writes_is_stopped() {
    let world = World::new();
    let ran = stopped(&world, "bytewise", "GITHUB_TOKEN");
    // What was shown of it before it was whole is less than what could be used.
    assert!(ran.text().len() < 40, "{ran}");
    passes(&world, "bytewise", &github("ghp"));
}

#[test]
fn a_value_across_a_chunk_border_is_stopped() {
    let world = World::new();
    stopped(&world, "halves", "GITHUB_TOKEN");
    passes(&world, "halves", &github("ghp"));
}

#[test]
fn a_value_on_stderr_is_stopped() {
    let world = World::new();
    stopped(&world, "stderr", "GITHUB_TOKEN");
    passes(&world, "stderr", &github("ghp"));
}

#[test]
fn a_value_after_much_output_is_stopped() {
    let world = World::new();
    let ran = stopped(&world, "late", "OPENAI_API_KEY");
    assert!(
        ran.stdout.len() <= 1_000_000 && ran.stdout.chunks_exact(5).all(|line| line == b"fine\n"),
        "{ran}"
    );
    passes(&world, "late", &word(60));
}

#[test]
fn the_synthetics_pass_in_every_coding() {
    let world = World::new();
    let script = "cat .env ~/.aws/credentials; printenv; printenv GITHUB_TOKEN | tee /dev/stderr | base64; \
                  printenv OPENAI_API_KEY | xxd -p 2>/dev/null; printf %s \"$DEPLOY_KEY\"";
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.record.of("leak-stopped").is_empty(), "{ran}");
}

#[test]
fn the_whole_tree_ends_with_a_leak() {
    let world = World::new();
    let marker = format!("86403.{}", std::process::id());
    let words = printing(world.real("GITHUB_TOKEN"), "plain");
    let script =
        format!("trap '' TERM INT HUP; setsid sleep {marker} & sleep {marker} & \"$@\"; sleep {marker}");
    let mut command = vec!["bash".to_owned(), "-c".to_owned(), script, "-".to_owned()];
    command.extend(words);
    world.shield(command).run().expect_code(120);
    assert!(crate::harness::host::soon(|| crate::harness::host::running_with(&marker).is_empty()));
}

#[test]
fn short_and_common_values_do_not_trip() {
    let mut world = World::new();
    world.set("DB_PASSWORD", "true");
    world.set("SMTP_PASSWORD", "postgres");
    world.set("API_SECRET", "changeme");
    let ran = world.bash("echo this is true; echo postgres runs; echo changeme please").run();
    ran.expect_code(0).expect_text("this is true\npostgres runs\nchangeme please\n");
}
