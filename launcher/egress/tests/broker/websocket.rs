//! A WebSocket through the broker: frames pass, secrets in them do not.

use hyper::Response;
use hyper_util::rt::TokioIo;
use shieldrun_egress::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, World, full};
use crate::spellings::{SPELLINGS, is_held_back, planted, step, told};

/// A server that agrees to a WebSocket and answers `ok` to whatever comes.
fn agreeing() -> Plan {
    Plan::github().answering(|asked| {
        assert!(!asked.headers.contains_key("sec-websocket-extensions"));
        Response::builder()
            .status(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(full(""))
            .expect("an answer")
    })
}

/// A masked text frame.
fn frame(text: &[u8]) -> Vec<u8> {
    framed(0x81, text)
}

/// A masked frame that begins with this byte.
fn framed(first: u8, text: &[u8]) -> Vec<u8> {
    let mask = [0xa1, 0x52, 0x03, 0xf4];
    let length = text.len() as u64;
    let mut frame = vec![first];
    match length {
        0..126 => frame.push(0x80 | length as u8),
        126..0x1_0000 => frame.extend([&[0xfe][..], &(length as u16).to_be_bytes()].concat()),
        _ => frame.extend([&[0xff][..], &length.to_be_bytes()].concat()),
    }
    frame.extend_from_slice(&mask);
    frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What the frames of messages among these bytes say, as far as they are whole.
fn said(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (size, length) = match second & 0x7f {
            126 => (2, rest.iter().take(2).fold(0, |length, byte| length << 8 | usize::from(*byte))),
            127 => (8, rest.iter().take(8).fold(0, |length, byte| length << 8 | usize::from(*byte))),
            short => (0, usize::from(short)),
        };
        let Some((mask, rest)) = rest.get(size..).and_then(|rest| rest.split_at_checked(4)) else { break };
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        if first & 8 == 0 {
            text.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        bytes = rest;
    }
    text
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
const LAST: u8 = 0x80;

/// Sends these pieces one by one and waits for the socket's end; says what the server was told.
async fn ended(world: &World, pieces: &[Vec<u8>], case: &str) -> Vec<u8> {
    let (asked, noted) = (world.asked.lock().expect("no test panics with it").len(), world.notes.count());
    let mut socket = opened(world).await;
    for piece in pieces {
        let _ = socket.write_all(piece).await;
        let _ = socket.flush().await;
        tokio::task::yield_now().await;
    }
    let _ = socket.read_to_end(&mut Vec::new()).await;
    let leaks = || world.notes.since(noted).iter().any(|note| matches!(note, Note::Leak { .. }));
    for _ in 0..200 {
        if leaks() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(leaks(), "{case}: {:?}", world.notes.all());
    said(&world.asked.lock().expect("no test panics with it")[asked].body)
}

/// Sends these pieces and waits until the server has all of them.
async fn arrives(world: &World, pieces: &[Vec<u8>], case: &str) {
    let asked = world.asked.lock().expect("no test panics with it").len();
    let mut socket = opened(world).await;
    let (mut from, mut to) = tokio::io::split(&mut socket);
    let whole = pieces.concat();
    let send = async {
        for piece in pieces {
            to.write_all(piece).await.expect("sent");
            to.flush().await.expect("sent");
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let wait = async {
        let mut buffer = [0; 64];
        while world.asked.lock().expect("no test panics with it")[asked].body.len() < whole.len() {
            assert_ne!(from.read(&mut buffer).await.expect("open"), 0, "{case}: {:?}", world.notes.all());
        }
    };
    tokio::select! {
        () = send => {}
        () = wait => {}
    }
    assert!(world.asked.lock().expect("no test panics with it")[asked].body == whole, "{case}");
    assert!(
        world.notes.all().iter().all(|note| matches!(note, Note::Swapped { .. })),
        "{:?}",
        world.notes.all()
    );
}

/// A message in two frames, with a ping between them or not.
fn fragments(kind: u8, text: &[u8], cut: usize, ping: bool) -> Vec<Vec<u8>> {
    let (first, second) = text.split_at(cut);
    let mut frames = vec![framed(kind, first)];
    if ping {
        frames.push(framed(LAST | PING, b"are you there?"));
    }
    frames.push(framed(LAST, second));
    frames
}

#[tokio::test]
async fn a_message_in_frames_that_end_anywhere_is_stopped_before_the_value_begins() {
    let world = agreeing().build().await;
    let real = world.pairs[0].real.clone();
    let text = format!("it is {real}, it is");
    for cut in 1..text.len() {
        for (kind, ping) in [(TEXT, false), (TEXT, true), (BINARY, true)] {
            let case = format!("cut at {cut}, {kind}, {ping}");
            let told = ended(&world, &fragments(kind, text.as_bytes(), cut, ping), &case).await;
            let told = String::from_utf8_lossy(&told).into_owned();
            assert!(!told.contains(&real[4..12]), "{case}: {told:?}");
        }
    }
}

#[tokio::test]
async fn messages_without_a_value_arrive_byte_for_byte() {
    let world = agreeing().build().await;
    // It begins as the value does, and goes on otherwise.
    let text = format!("it is {}0therwise, it is", &world.pairs[0].real[..20]);
    for cut in 1..text.len() {
        let ping = cut % 2 == 0;
        arrives(&world, &fragments(TEXT, text.as_bytes(), cut, ping), &format!("cut at {cut}")).await;
    }
    // At the end of a message nothing is held back: who sent all of it may wait for the answer.
    let begun = format!("it is {}", &world.pairs[0].real[..20]);
    arrives(&world, &[framed(LAST | BINARY, begun.as_bytes())], "the beginning of a value").await;
    for length in [0, 125, 126, 127, 65535, 65536, 200_000] {
        arrives(&world, &[framed(LAST | BINARY, &vec![b'a'; length])], &format!("{length} bytes")).await;
    }
}

#[tokio::test]
async fn every_spelling_is_stopped_wherever_a_frame_ends() {
    let world = planted(agreeing()).build().await;
    let (mut turn, mut cases) = (0, 0);
    for (pair, (spelling, spell)) in
        world.pairs.iter().flat_map(|pair| SPELLINGS.iter().map(move |spelling| (pair, spelling)))
    {
        let written = spell(pair.real.as_bytes());
        let text = [b"it is ".as_slice(), &written, b", it is"].concat();
        let step = step(251);
        for kind in [TEXT, BINARY] {
            turn += 1;
            for cut in (1 + turn * 37 % step.min(text.len() - 1)..text.len()).step_by(step) {
                let case = format!("{}, {spelling}, cut at {cut}, {kind}", pair.name);
                let told = ended(&world, &fragments(kind, &text, cut, cut % 2 == 0), &case).await;
                let arrived = |what: &[u8]| told.windows(what.len()).any(|part| part == what);
                let middle = &written[written.len() / 2 - 8..][..16];
                assert!(!arrived(&written), "{case}");
                assert!(!(is_held_back(pair.name, spelling) && arrived(middle)), "{case}");
                cases += 1;
            }
        }
    }
    told(&format!("{cases} messages"));
    assert!(cases >= 2 * 13 * SPELLINGS.len(), "{cases}");
}

#[tokio::test]
async fn a_value_is_stopped_in_a_frame_of_every_length() {
    let world = agreeing().build().await;
    let real = world.pairs[0].real.as_bytes();
    let few = ["raw", "base64 in lines", "x escapes", "gzip", "reversed"];
    for (name, spell) in SPELLINGS.iter().filter(|(name, _)| few.contains(name)) {
        for before in [0, 200, 70_000] {
            for kind in [TEXT, BINARY] {
                let text = [vec![b' '; before], spell(real)].concat();
                let case = format!("{name} behind {before}");
                let told = ended(&world, &[framed(LAST | kind, &text)], &case).await;
                assert!(told.len() < text.len(), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn frames_that_stand_where_they_may_not_end_the_socket() {
    let twin =
        vec![framed(TEXT, b"a"), framed(LAST | PING, b"b"), framed(LAST, b"c"), framed(LAST | BINARY, b"")];
    let cases: [(&str, Vec<Vec<u8>>); 6] = [
        ("goes on with nothing", vec![framed(LAST, b"a")]),
        ("begins within another", vec![framed(TEXT, b"a"), framed(LAST | TEXT, b"b")]),
        ("a ping in two frames", vec![framed(PING, b"a"), framed(LAST, b"b")]),
        ("a ping of many bytes", vec![framed(LAST | PING, &[b'a'; 126])]),
        ("a kind that is none", vec![framed(LAST | 3, b"a")]),
        ("an extension's bit", vec![framed(LAST | 0x40 | TEXT, b"a")]),
    ];
    for (name, frames) in cases {
        let world = agreeing().build().await;
        let mut socket = opened(&world).await;
        let _ = socket.write_all(&frames.concat()).await;
        let _ = socket.flush().await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
        assert!(world.asked_once().body.len() < frames.concat().len(), "{name}");
    }
    let world = agreeing().build().await;
    arrives(&world, &twin, "the twin").await;
}

async fn opened(world: &World) -> TokioIo<hyper::upgrade::Upgraded> {
    let stream = TokioIo::new(world.connect(b"http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
    tokio::spawn(connection.with_upgrades());
    let request = world
        .request("GET", "/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("authorization", format!("Bearer {}", world.pairs[0].synthetic))
        .body(full(""))
        .expect("a request");
    let mut response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 101);
    TokioIo::new(hyper::upgrade::on(&mut response).await.expect("a socket"))
}

#[tokio::test]
async fn a_real_value_over_two_frames_ends_the_socket() {
    let world = agreeing().build().await;
    let mut socket = opened(&world).await;
    assert_eq!(world.asked_once().headers["authorization"], format!("Bearer {}", world.pairs[0].real));
    socket.write_all(&frame(b"hello")).await.expect("sent");
    socket.flush().await.expect("sent");
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"\x81\x02ok");
    assert!(world.notes.all().iter().all(|note| !matches!(note, Note::Leak { .. })));
    let (first, second) = world.pairs[0].real.as_bytes().split_at(15);
    socket.write_all(&frame(first)).await.expect("sent");
    socket.write_all(&frame(second)).await.expect("sent");
    socket.flush().await.expect("sent");
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(
        world.notes.all().iter().any(|note| matches!(note, Note::Leak { .. })),
        "{:?}",
        world.notes.all()
    );
    // The first half has passed, the second has not.
    assert!(world.asked_once().body.len() < frame(b"hello").len() + frame(first).len() + frame(second).len());
}

#[tokio::test]
async fn a_value_in_frames_that_are_cut_anywhere_ends_the_socket() {
    for cut in [1, 2, 5, 7, 20, 45] {
        let world = agreeing().build().await;
        let mut socket = opened(&world).await;
        let bytes = frame(format!("a {} b", world.pairs[0].real).as_bytes());
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let _ = socket.write_all(piece).await;
            let _ = socket.flush().await;
        }
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        let leak = |note: &Note| matches!(note, Note::Leak { .. });
        assert!(world.notes.all().iter().any(leak), "{cut}: {:?}", world.notes.all());
        assert!(world.asked_once().body.len() < bytes.len(), "{cut}");
    }
}
