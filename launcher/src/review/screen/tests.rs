//! The screen, drawn into memory and driven by keys.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use shieldrun_policy::changes::{Change, Node, NodeKind};
use shieldrun_policy::plan::Bytes;
use shieldrun_policy::verdict::Reason;

use super::*;

fn created(path: &str) -> Change {
    let node = Node {
        kind: NodeKind::Text,
        mode: 0o644,
        size: 2,
        modified: (0, 0),
        digest: Some([0; 32]),
        attributes: None,
    };
    Change {
        path: Bytes(path.as_bytes().to_vec()),
        from: None,
        before: None,
        after: Some(node),
        lines: None,
        findings: Vec::new(),
    }
}

fn review(files: usize) -> Review {
    let mut changes: Vec<Change> = (0..files).map(|n| created(&format!("src/f{n:05}.rs"))).collect();
    changes.push(created("Makefile"));
    changes.push(created("bad.sh"));
    let mut patch = Vec::new();
    for change in &changes {
        patch.extend(patch_header(change));
        patch.extend_from_slice(
            b"\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+evil\x1b[2J line\n",
        );
    }
    let reason = |file: &str, effect: Verdict, message: &str| Reason {
        rule: "gate.runs_later".to_owned(),
        pattern: None,
        file: Some(file.to_owned()),
        line: Some(3),
        effect,
        message: message.to_owned(),
    };
    let verdict = VerdictRecord {
        run_id: "RUN".to_owned(),
        verdict: Verdict::Hold,
        policy_digest: String::new(),
        changes_digest: String::new(),
        reasons: vec![
            reason("Makefile", Verdict::Hold, "runs on your machine when the project is built with it"),
            reason("bad.sh", Verdict::Refuse, "a blocked pattern in a file that is run"),
        ],
        accepted: (0..files).map(|n| format!("src/f{n:05}.rs")).collect(),
        held: vec!["Makefile".to_owned()],
        refused: vec!["bad.sh".to_owned()],
        decisions: Vec::new(),
    };
    Review::new("a run".to_owned(), &verdict, &ChangeSet { changes, ..ChangeSet::default() }, patch, &[])
}

fn screen(review: &mut Review) -> String {
    let mut terminal = Terminal::new(TestBackend::new(110, 24)).expect("memory");
    terminal.draw(|frame| review.draw(frame)).expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
    cells.chunks(width).map(|row| row.concat() + "\n").collect()
}

fn press(review: &mut Review, keys: &str) -> Option<Next> {
    let mut last = None;
    for key in keys.chars() {
        last = Some(review.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
    }
    last
}

#[test]
fn what_waits_comes_first_with_its_reason_and_nothing_moves_the_terminal() {
    let mut review = review(3);
    let shown = screen(&mut review);
    assert!(shown.contains("? Makefile") && shown.contains("runs on your machine when"), "{shown}");
    assert!(shown.contains("+evil\u{fffd}[2J line"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
    press(&mut review, "?");
    assert!(screen(&mut review).contains("approve all that wait"));
}

/// Which colours are on the screen.
fn palette(review: &mut Review) -> Vec<Color> {
    let mut terminal = Terminal::new(TestBackend::new(110, 24)).expect("memory");
    terminal.draw(|frame| review.draw(frame)).expect("drawn");
    let cells = terminal.backend().buffer().content.iter().flat_map(|cell| [cell.fg, cell.bg]);
    let mut found: Vec<Color> = cells.collect();
    found.sort_by_key(|colour| colour.to_string());
    found.dedup();
    found
}

#[test]
fn colours_are_those_of_the_terminal_and_none_where_none_are_wanted() {
    let mut review = review(3);
    let coloured = palette(&mut review);
    assert!(coloured.contains(&Color::Yellow) && coloured.contains(&Color::Green), "{coloured:?}");
    // By their names only: which red that is, on dark or on light, is for the person's theme to say.
    assert!(
        !coloured.iter().any(|colour| matches!(colour, Color::Rgb(..) | Color::Indexed(_))),
        "{coloured:?}"
    );
    review.colours = Colours::Unwanted;
    assert_eq!(palette(&mut review), [Color::Reset]);
    assert!(screen(&mut review).contains("? Makefile"));
}

#[test]
fn marks_become_a_decision_only_when_confirmed() {
    let mut review = review(3);
    assert!(matches!(press(&mut review, "a"), Some(Next::Stay)));
    press(&mut review, "cfine");
    review.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    assert!(matches!(press(&mut review, "w"), Some(Next::Confirm)));
    let marks = review.marks();
    assert_eq!(marks.approve, ["Makefile"]);
    assert_eq!((marks.reject.len(), marks.comment.as_deref()), (0, Some("fine")));
}

#[test]
fn what_was_refused_cannot_be_approved_and_what_goes_can_be_rejected() {
    let mut review = review(1);
    press(&mut review, "jaGr");
    let marks = review.marks();
    assert_eq!((marks.approve, marks.reject), (Vec::<String>::new(), vec!["src/f00000.rs".to_owned()]));
}

#[test]
fn two_thousand_files_open_and_scroll() {
    let mut review = review(2000);
    let first = screen(&mut review);
    assert!(first.contains("2002 files"), "{first}");
    // The first and the hundredth are on the screen in turn, each once it is scrolled to: no file is left out,
    // and what is drawn is what fits. How long it takes is a figure of the benchmarks.
    assert!(!first.contains("f00100.rs"), "{first}");
    for _ in 0..100 {
        press(&mut review, "j");
        screen(&mut review);
    }
    let later = screen(&mut review);
    assert!(later.contains("f00097.rs"), "{later}");
    assert!(later.contains("2002 files"), "{later}");
    press(&mut review, "G");
    let last = screen(&mut review);
    assert!(last.contains("f01999.rs") && !last.contains("f00097.rs"), "{last}");
}

/// One changed file of three hunks.
fn with_hunks(conflicts: &[ThreeWay]) -> Review {
    let text = |others: &[usize]| -> Vec<u8> {
        (1..=60)
            .map(|n| if others.contains(&n) { format!("new {n}\n") } else { format!("{n}\n") })
            .collect::<String>()
            .into()
    };
    let mut change = created("long.txt");
    change.before = change.after.clone();
    if let Some(after) = &mut change.after {
        after.digest = Some([1; 32]);
    }
    let mut patch = patch_header(&change);
    patch.push(b'\n');
    patch.extend(crate::changes::unified(&text(&[]), &text(&[5, 25, 45])));
    let verdict = VerdictRecord {
        run_id: "RUN".to_owned(),
        verdict: Verdict::Hold,
        policy_digest: String::new(),
        changes_digest: String::new(),
        reasons: Vec::new(),
        accepted: Vec::new(),
        held: vec!["long.txt".to_owned()],
        refused: Vec::new(),
        decisions: Vec::new(),
    };
    Review::new(
        "a run".to_owned(),
        &verdict,
        &ChangeSet { changes: vec![change], ..ChangeSet::default() },
        patch,
        conflicts,
    )
}

#[test]
fn hunks_left_out_are_marked_and_the_rest_is_a_part() {
    let mut review = with_hunks(&[]);
    press(&mut review, "]]x");
    assert!(screen(&mut review).contains("✗2 @@"), "{}", screen(&mut review));
    press(&mut review, "a");
    assert!(screen(&mut review).contains("± long.txt"));
    let marks = review.marks();
    assert_eq!(marks.parts, [("long.txt".to_owned(), vec![1, 3])]);
    assert_eq!((marks.approve.len(), marks.reject.len()), (0, 0));
    // Taken in again it goes whole; all left out is a rejection.
    let mut review = with_hunks(&[]);
    press(&mut review, "]xxa");
    assert_eq!(review.marks().approve, ["long.txt"]);
    let mut review = with_hunks(&[]);
    press(&mut review, "]x]x]xa");
    assert_eq!(review.marks().reject, ["long.txt"]);
}

#[test]
fn old_and_new_stand_side_by_side() {
    let mut review = with_hunks(&[]);
    press(&mut review, "s");
    let shown = screen(&mut review);
    let row = shown.lines().find(|line| line.contains("new 5")).expect("there").to_owned();
    let (left, right) = row.rsplit_once('│').and_then(|(row, _)| row.rsplit_once('│')).expect("two columns");
    assert!(left.contains(" 5") || left.contains("│5"), "{row}");
    assert!(right.contains("new 5") && !left.contains("new 5"), "{row}");
    press(&mut review, "s");
    assert!(screen(&mut review).contains("+new 5"));
}

#[test]
fn a_conflict_is_named_and_shown_three_ways() {
    let conflict = ThreeWay {
        path: "long.txt".to_owned(),
        why: "it was changed on the host since the run began",
        host: Some("@@ -1 +1 @@\n-1\n+mine\n".to_owned()),
        run: Some("@@ -5 +5 @@\n-5\n+new 5\n".to_owned()),
    };
    let mut review = with_hunks(&[conflict]);
    assert!(screen(&mut review).contains("it was changed on the host"));
    press(&mut review, "t");
    let shown = screen(&mut review);
    assert!(shown.contains("what you changed since the run began") && shown.contains("+mine"), "{shown}");
    assert!(shown.contains("what the run changed") && shown.contains("+new 5"), "{shown}");
    press(&mut review, "t");
    assert!(!screen(&mut review).contains("+mine"));
}
