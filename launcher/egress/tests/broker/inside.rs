//! gzip within a body that is not said to be compressed: gRPC's messages, and a file of a form.

use shieldrun_egress::Note;

use crate::harness::{Plan, World, gzip, parts};
use crate::made_up::word;

/// Words that gzip makes little of, with another text at their end.
fn long(last: &str) -> Vec<u8> {
    let words = (0..2000).map(|_| word(12)).collect::<Vec<_>>().join(" ");
    format!("{words} {last}").into_bytes()
}

/// Puts a text into a body.
type Write = dyn Fn(&[u8]) -> Vec<u8>;

/// A message of gRPC: a flag that says it is compressed, its length, and that.
fn message(text: &[u8]) -> Vec<u8> {
    let packed = gzip(text);
    let length = u32::try_from(packed.len()).expect("short").to_be_bytes();
    [&[1], &length[..], &packed].concat()
}

async fn status(world: &World, kind: &str, pieces: Vec<Vec<u8>>) -> u16 {
    let request = world.request("POST", "/service/method").header("content-type", kind);
    let request = request.header("te", "trailers").body(parts(pieces)).expect("a request");
    world.ask_h2(request).await.0.status().as_u16()
}

#[tokio::test]
async fn a_value_at_the_end_of_a_long_member_is_stopped_and_a_word_arrives() {
    let world = Plan::github().build().await;
    let real = world.pairs[0].real.clone();
    let file = |text: &[u8]| {
        let head = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.gz\"\r\n\r\n".as_slice();
        [head, &gzip(text), b"\r\n--x--\r\n"].concat()
    };
    let twice = |text: &[u8]| message(&gzip(text));
    let two = |text: &[u8]| [message(b"a first one"), message(text)].concat();
    let bodies: [(&str, &Write, &str); 4] = [
        ("a message", &message, "application/grpc"),
        ("the second message", &two, "application/grpc"),
        ("a message of a file", &twice, "application/grpc"),
        ("a file", &file, "multipart/form-data; boundary=x"),
    ];
    for (name, body, kind) in bodies {
        for (text, expected) in [(long(&real), 403), (long("n0thing"), 200)] {
            let body = body(&text);
            assert!(body.len() > 16 << 10, "longer than a frame");
            // In frames of any size, and with the member's beginning in two of them.
            let begins = body.windows(2).position(|pair| pair == [0x1f, 0x8b]).expect("a member");
            let (first, rest) = body.split_at(begins + 1);
            let cut: Vec<Vec<u8>> =
                [first.to_vec()].into_iter().chain(rest.chunks(1000).map(<[u8]>::to_vec)).collect();
            for pieces in [body.chunks(10_000).map(<[u8]>::to_vec).collect(), cut] {
                let noted = world.notes.count();
                assert_eq!(status(&world, kind, pieces).await, expected, "{name}");
                let leaked = world.notes.since(noted).iter().any(|note| matches!(note, Note::Leak { .. }));
                assert_eq!(leaked, expected == 403, "{name}");
                let asked = world.asked.lock().expect("no test panics with it").last().cloned();
                assert!(
                    expected == 403 || asked.is_some_and(|one| one.complete && one.body == body),
                    "{name}"
                );
            }
        }
    }
}
