//! The hunks of a file in the recorded patch: some of them applied to what was there, or all of them taken back
//! from what is there now.
//!
//! Each line of context is compared. A patch that does not fit exactly gives nothing at all.

/// One hunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hunk<'a> {
    /// The line that it begins with, without its end.
    pub(crate) head: &'a [u8],
    /// How many lines of the old file come before it.
    before: usize,
    lines: Vec<(Side, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// Of a part of a patch. None where a line is not what it should be.
pub(crate) fn hunks(section: &[u8]) -> Option<Vec<Hunk<'_>>> {
    let mut found: Vec<Hunk<'_>> = Vec::new();
    let (mut old, mut new) = (0, 0);
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"\\ ") {
            // The line before has no end.
            let (_, last) = found.last_mut()?.lines.last_mut()?;
            last.pop();
            continue;
        }
        if old == 0 && new == 0 {
            let head = line.strip_suffix(b"\n").unwrap_or(line);
            if let Some(ranges) = head.strip_prefix(b"@@ -") {
                let (start, counts) = ranges_of(ranges)?;
                (old, new) = counts;
                let before = if old == 0 { start } else { start.checked_sub(1)? };
                found.push(Hunk { head, before, lines: Vec::new() });
            }
            continue;
        }
        let (sign, rest) = line.split_first()?;
        let side = match sign {
            b' ' => Side::Both,
            b'-' => Side::Old,
            b'+' => Side::New,
            _ => return None,
        };
        if side != Side::New {
            old = old.checked_sub(1)?;
        }
        if side != Side::Old {
            new = new.checked_sub(1)?;
        }
        found.last_mut()?.lines.push((side, rest.to_vec()));
    }
    (old == 0 && new == 0).then_some(found)
}

/// `3,7 +3,8 @@`: where the old begins, and how many of each.
fn ranges_of(text: &[u8]) -> Option<(usize, (usize, usize))> {
    let text = std::str::from_utf8(text).ok()?;
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    let ((start, old), (_, new)) = (range(old)?, range(new)?);
    Some((start, (old, new)))
}

/// The old text with the chosen hunks applied (by their numbers, from 0).
pub(crate) fn apply(old: &[u8], hunks: &[Hunk<'_>], chosen: impl Fn(usize) -> bool) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut made, mut at) = (Vec::with_capacity(old.len()), 0);
    for (number, hunk) in hunks.iter().enumerate() {
        made.extend(lines.get(at..hunk.before)?.concat());
        at = hunk.before;
        for (side, line) in &hunk.lines {
            if *side != Side::New {
                if lines.get(at)? != line {
                    return None;
                }
                at += 1;
            }
            let goes = match side {
                Side::Both => true,
                Side::Old => !chosen(number),
                Side::New => chosen(number),
            };
            if goes {
                made.extend(line);
            }
        }
    }
    made.extend(lines.get(at..)?.concat());
    Some(made)
}

/// The old text, from the new one.
pub(crate) fn reverse(new: &[u8], hunks: &[Hunk<'_>]) -> Option<Vec<u8>> {
    let mut grown = 0isize;
    let turned: Vec<Hunk<'_>> = hunks
        .iter()
        .map(|hunk| {
            let before = hunk.before.saturating_add_signed(grown);
            let turn = |side: Side| match side {
                Side::Old => Side::New,
                Side::New => Side::Old,
                Side::Both => Side::Both,
            };
            let count = |wanted| hunk.lines.iter().filter(|(side, _)| *side == wanted).count();
            grown += count(Side::New).cast_signed() - count(Side::Old).cast_signed();
            let lines = hunk.lines.iter().map(|(side, line)| (turn(*side), line.clone())).collect();
            Hunk { head: hunk.head, before, lines }
        })
        .collect();
    apply(new, &turned, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::unified;
    use proptest::prelude::*;

    fn texts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let line = prop_oneof![Just("same"), Just("-minus"), Just("+plus"), Just("@@ -1 +1 @@"), Just("")];
        let text = || {
            (proptest::collection::vec(line.clone(), 0..40), any::<bool>()).prop_map(|(lines, ends)| {
                let mut text = lines.join("\n").into_bytes();
                if ends && !text.is_empty() {
                    text.push(b'\n');
                }
                text
            })
        };
        (text(), text())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_of_them_make_the_new_text_none_the_old_and_back((old, new) in texts()) {
            let patch = unified(&old, &new);
            let hunks = hunks(&patch).expect("a patch of ours");
            prop_assert_eq!(apply(&old, &hunks, |_| true), Some(new.clone()));
            prop_assert_eq!(apply(&old, &hunks, |_| false), Some(old.clone()));
            prop_assert_eq!(reverse(&new, &hunks), Some(old));
        }
    }

    #[test]
    fn one_of_two_is_applied_and_another_text_is_refused() {
        let text = |at: &[(usize, &str)]| -> Vec<u8> {
            let line = |n: usize| {
                at.iter().find(|(own, _)| *own == n).map_or(format!("{n}\n"), |(_, text)| format!("{text}\n"))
            };
            (0..30).map(line).collect::<String>().into_bytes()
        };
        let old = text(&[]);
        let patch = unified(&old, &text(&[(3, "three"), (20, "twenty")]));
        let hunks = hunks(&patch).expect("a patch of ours");
        assert_eq!(hunks.len(), 2);
        assert_eq!(apply(&old, &hunks, |number| number == 1), Some(text(&[(20, "twenty")])));
        assert_eq!(apply(&text(&[(4, "other")]), &hunks, |_| true), None);
        for damaged in ["@@ -1,2 +1 @@\n-a\n", "@@ -x +1 @@\n", "@@ -0 +1 @@\n-a\n+b\n", "\\ No newline\n"] {
            assert_eq!(super::hunks(damaged.as_bytes()), None, "{damaged}");
        }
    }
}
