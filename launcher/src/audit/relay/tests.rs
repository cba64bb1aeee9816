//! A receiver that is down, comes back, or takes part: every line reaches it once it can, in order.

use std::io::Write;
use std::sync::mpsc;

use rustix::fs::{MemfdFlags, memfd_create};

use super::*;

/// A receiver with a script: for each attempt how many lines it takes, or why none.
struct Scripted {
    script: Vec<Result<usize, &'static str>>,
    taken: mpsc::Sender<Vec<u8>>,
}

impl Carrier for Scripted {
    fn carry(&mut self, lines: &[u8], _: Duration) -> Result<Carried, Trouble> {
        let step = if self.script.is_empty() { Ok(usize::MAX) } else { self.script.remove(0) };
        let most = step.map_err(|why| Trouble {
            why: why.to_owned(),
            pause: Some(Duration::from_millis(1)),
            is_absent: true,
        })?;
        let taken: Vec<u8> =
            lines.split_inclusive(|byte| *byte == b'\n').take(most).flatten().copied().collect();
        let bytes = taken.len();
        let _ = self.taken.send(taken);
        Ok(Carried { bytes, refused: 0 })
    }
}

fn relay(script: Vec<Result<usize, &'static str>>) -> (Relay, File, mpsc::Receiver<Vec<u8>>) {
    let record = File::from(memfd_create("record", MemfdFlags::CLOEXEC).expect("a file"));
    let (taken, receiver) = mpsc::channel();
    let carrier = Box::new(Scripted { script, taken });
    let relay = Relay::start("scripted".to_owned(), carrier, record.try_clone().expect("a handle"));
    (relay.expect("a thread"), record, receiver)
}

#[test]
fn a_receiver_that_comes_back_gets_every_line_in_order() {
    let (relay, mut record, taken) = relay(vec![Err("down"), Ok(1), Err("down"), Err("down"), Ok(2)]);
    let mut expected = Vec::new();
    for number in 0..1000u64 {
        let line = format!("{{\"n\":{number}}}\n");
        record.write_all(line.as_bytes()).expect("written");
        expected.extend_from_slice(line.as_bytes());
        relay.written(number + 1);
    }
    while relay.shared.done.load(Ordering::Relaxed) < 1000 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(relay.finish(), None);
    assert_eq!(taken.iter().flatten().collect::<Vec<u8>>(), expected);
}

#[test]
fn what_a_dead_receiver_did_not_take_is_counted_with_the_reason() {
    let (relay, mut record, taken) = relay(vec![Err("nobody there"); 10_000]);
    record.write_all(b"{}\n{}\n{}\n").expect("written");
    relay.written(3);
    assert_eq!(relay.settle(), 3);
    let lost = relay.finish().expect("lost");
    assert_eq!((lost.lines, lost.reason.as_str()), (3, "nobody there"));
    assert!(taken.try_iter().next().is_none());
}
