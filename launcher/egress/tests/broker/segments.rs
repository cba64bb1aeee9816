//! A head that comes in two pieces, cut anywhere, by raw bytes: what is scanned is the whole of it.

use std::time::Duration;

use shieldrun_egress::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::Plan;
use crate::harness::World;
use crate::spellings::{SPELLINGS, planted, step, told};

/// Sends a head in two pieces; the status of its answer.
async fn sent(world: &World, head: &[u8], cut: usize) -> u16 {
    let mut stream = world.connect(b"http/1.1").await;
    let (first, second) = head.split_at(cut);
    stream.write_all(first).await.expect("sent");
    stream.flush().await.expect("sent");
    // Long enough for the first piece to be read by itself.
    tokio::time::sleep(Duration::from_millis(1)).await;
    stream.write_all(second).await.expect("sent");
    stream.flush().await.expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    std::str::from_utf8(&answer[9..]).ok().and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Heads with a text in them, as far as it can be written there.
fn heads(written: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |before: &str, behind: &str| [before.as_bytes(), written, behind.as_bytes()].concat();
    let host = "Host: api.github.com\r\n";
    let mut heads = Vec::new();
    if written.iter().all(|byte| (b' '..0x7f).contains(byte)) {
        heads.push(("header", with(&format!("GET / HTTP/1.1\r\n{host}X-Note: "), "\r\n\r\n")));
    }
    if written.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/".contains(byte)) {
        heads.push(("query", with("GET /?q=", &format!(" HTTP/1.1\r\n{host}\r\n"))));
        heads.push(("path", with("GET /a/", &format!("/b HTTP/1.1\r\n{host}\r\n"))));
    }
    heads
}

#[tokio::test]
async fn a_head_is_stopped_wherever_it_is_cut_and_its_twin_is_not() {
    let world = planted(Plan::github()).build().await;
    let (mut turn, mut cases) = (0, 0);
    for (pair, (spelling, spell)) in
        world.pairs.iter().flat_map(|pair| SPELLINGS.iter().map(move |spelling| (pair, spelling)))
    {
        for (part, head) in heads(&spell(pair.real.as_bytes())) {
            turn += 1;
            let step = step(401);
            for cut in (1 + turn * 37 % step.min(head.len() - 1)..head.len()).step_by(step) {
                let noted = world.notes.count();
                let case = format!("{}, {spelling}, {part}, cut at {cut}", pair.name);
                assert_eq!(sent(&world, &head, cut).await, 403, "{case}");
                let notes = world.notes.since(noted);
                assert!(notes.iter().any(|note| matches!(note, Note::Leak { .. })), "{case}: {notes:?}");
                cases += 1;
            }
        }
    }
    told(&format!("{cases} heads"));
    assert!(cases > 1000, "{cases}");
    assert!(world.asked.lock().expect("no test panics with it").is_empty());
    for (part, head) in heads(b"n0thing_that_is_secret/at+all") {
        for cut in (1..head.len()).step_by(step(7)) {
            assert_eq!(sent(&world, &head, cut).await, 200, "{part}, cut at {cut}");
        }
    }
}
