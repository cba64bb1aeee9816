//! HTTP/2 frames in masses that cost a guest nothing: whoever sends them hurts itself.

use shieldrun_egress::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::frames::{
    CONTINUATION, End, HEADERS, HONEST, RESET, SETTINGS, WHOLE, block, ended, frame, opening, sent,
};
use crate::harness::{Plan, World};

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// Sends all of it as fast as it is taken, and reads nothing until then; says whether the connection was ended.
async fn flooded(world: &World, bytes: &[u8]) -> bool {
    let mut stream = world.connect(b"h2").await;
    if stream.write_all(&opening()).await.is_err() || stream.write_all(bytes).await.is_err() {
        return true;
    }
    // A ping that is not answered is one that nobody reads any more.
    let ping = frame(PING, 0, 0, b"are you?");
    if stream.write_all(&ping).await.is_err() || stream.flush().await.is_err() {
        return true;
    }
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        seen.extend_from_slice(&buffer[..read]);
        if seen.windows(8).any(|bytes| bytes == b"are you?") {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let world = Plan::github().build().await;
    // Fields of one kilobyte each, far beyond what a head may hold.
    let field = block(&[("x-note", &"a".repeat(100))]).repeat(10);
    let mut frames = frame(HEADERS, END_STREAM, 1, &block(HONEST));
    (0..4000).for_each(|_| frames.extend(frame(CONTINUATION, 0, 1, &field)));
    assert!(flooded(&world, &frames).await);
    // Nor does one of empty frames go on for ever.
    let mut frames = frame(HEADERS, END_STREAM, 1, &block(HONEST));
    (0..200_000).for_each(|_| frames.extend(frame(CONTINUATION, 0, 1, &[])));
    assert!(flooded(&world, &frames).await);
    assert!(world.asked.lock().expect("no test panics with it").is_empty());
    assert_eq!(sent(&world, HONEST).await, End::Answered(200));
}

#[tokio::test]
async fn a_head_in_two_frames_passes_wherever_it_is_cut_and_a_real_value_in_one_does_not() {
    let world = Plan::github().build().await;
    let real = world.pairs[0].real.clone();
    for (value, passes) in [("n0thing", true), (real.as_str(), false)] {
        let whole = block(&[HONEST, &[("x-note", value)]].concat());
        for cut in (1..whole.len()).step_by(if passes { 7 } else { 2 }) {
            let (asked, noted) = counted(&world);
            let (first, second) = whole.split_at(cut);
            let frames = [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, second)];
            let end = ended(&world, frames.concat()).await;
            assert_eq!(end == End::Answered(200), passes, "{cut}: {end:?}");
            assert_eq!(counted(&world).0 > asked, passes, "{cut}");
            let leaks = world.notes.all().split_off(noted);
            assert_eq!(
                leaks.iter().any(|note| matches!(note, Note::Leak { .. })),
                !passes,
                "{cut}: {leaks:?}"
            );
        }
    }
}

fn counted(world: &World) -> (usize, usize) {
    (world.asked.lock().expect("no test panics with it").len(), world.notes.all().len())
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_are_contained() {
    let world = Plan::github().build().await;
    let head = block(HONEST);
    let mut frames = Vec::new();
    for stream in (1..20_000).step_by(2) {
        frames.extend(frame(HEADERS, WHOLE, stream, &head));
        frames.extend(frame(RESET, 0, stream, &CANCEL));
    }
    let is_ended = flooded(&world, &frames).await;
    let asked = world.asked.lock().expect("no test panics with it").len();
    // Each of ten thousand would be a request of its own upstream.
    assert!(is_ended && asked < 2000, "{is_ended} {asked}");
    assert_eq!(sent(&world, HONEST).await, End::Answered(200));
}

#[tokio::test]
async fn settings_pings_and_windows_without_end_hurt_nobody_else() {
    let zero = [0, 0, 0, 0];
    for (name, one) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
        ("empty settings", frame(SETTINGS, 0, 0, &[])),
        ("pings", frame(PING, 0, 0, b"abcdefgh")),
        ("windows of nothing", frame(WINDOW_UPDATE, 0, 0, &zero)),
    ] {
        let world = std::sync::Arc::new(Plan::github().build().await);
        let flood = {
            let (world, bytes) = (std::sync::Arc::clone(&world), one.repeat(20_000));
            tokio::spawn(async move {
                let mut stream = world.connect(b"h2").await;
                let _ = stream.write_all(&opening()).await;
                // Nothing is read: the answers to all this wait for room, and so does the rest of the flood.
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            })
        };
        for _ in 0..20 {
            assert_eq!(sent(&world, HONEST).await, End::Answered(200), "{name}");
        }
        flood.abort();
    }
}
