//! A recording is what was shown, in its order, and holds no real value.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value as Json;
use shieldrun_secrets::{Registry, RunKey, substitute_env};

use super::*;

const REAL: &str = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm";

fn registry() -> Registry {
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), REAL.as_bytes().to_vec())]);
    registry
}

struct Recording {
    cast: Cast,
    file: File,
}

impl Recording {
    fn new(size: u64, records_input: bool) -> Self {
        let file = File::from(memfd_create("cast", MemfdFlags::CLOEXEC).expect("a file"));
        let copy = file.try_clone().expect("a second handle");
        Recording {
            cast: Cast::new(
                copy,
                "sh -c x".to_owned(),
                Some(Arc::new(registry().scanner())),
                size,
                records_input,
            ),
            file,
        }
    }

    fn lines(self, end: End) -> (Json, Vec<(String, String)>) {
        self.cast.finish(end, 0).expect("written");
        rustix::fs::seek(self.file.as_fd(), rustix::fs::SeekFrom::Start(0)).expect("rewound");
        let mut text = String::new();
        (&self.file).read_to_string(&mut text).expect("text");
        assert!(!text.contains(REAL) && !text.contains(&REAL[..12]), "a real value is in the recording");
        let mut lines = text.lines();
        let header = serde_json::from_str(lines.next().expect("a header")).expect("JSON");
        let event = |line| serde_json::from_str::<(f64, String, String)>(line).expect("an event");
        (header, lines.map(event).map(|(_, code, data)| (code, data)).collect())
    }
}

fn shown(events: &[(String, String)], code: &str) -> String {
    events.iter().filter(|(own, _)| own == code).map(|(_, data)| data.as_str()).collect()
}

#[test]
fn what_is_printed_is_recorded_with_size_and_end() {
    let recording = Recording::new(1 << 20, false);
    recording.cast.resized(120, 40);
    recording.cast.bytes(Stream::Terminal, b"caf\xc3");
    recording.cast.bytes(Stream::Terminal, b"\xa9\r\n");
    recording.cast.resized(90, 30);
    recording.cast.bytes(Stream::Stdout, b"one\ntwo\r");
    recording.cast.bytes(Stream::Stdout, b"\n\xff!");
    recording.cast.bytes(Stream::Keyboard, b"typed");
    let (header, events) = recording.lines(End::Whole);
    assert_eq!((&header["version"], &header["term"]["cols"]), (&Json::from(3), &Json::from(120)));
    assert_eq!(header["command"], "sh -c x");
    assert_eq!(shown(&events, "o"), "caf\u{e9}\r\none\r\ntwo\r\n\u{fffd}!");
    assert_eq!((shown(&events, "r"), shown(&events, "x")), ("90x30".to_owned(), "0".to_owned()));
    assert_eq!(shown(&events, "i"), "", "nobody asked for what is typed");
}

#[test]
fn a_value_becomes_its_id_however_it_is_cut() {
    for at in 1..REAL.len() {
        let recording = Recording::new(1 << 20, true);
        let (one, other) = REAL.split_at(at);
        recording.cast.bytes(Stream::Stdin, format!("before\nKEY={one}").as_bytes());
        recording.cast.bytes(Stream::Stdin, format!("{other} after\n").as_bytes());
        let (_, events) = recording.lines(End::Whole);
        let typed = shown(&events, "i");
        assert!(typed.starts_with("before\n") && typed.ends_with(" after\n"), "cut at {at}: {typed:?}");
        assert!(typed.contains('\u{2039}'), "cut at {at}: {typed:?}");
    }
}

#[test]
fn the_beginning_of_a_value_that_was_stopped_is_not_recorded() {
    let recording = Recording::new(1 << 20, false);
    recording.cast.bytes(Stream::Stdout, format!("x {}", &REAL[..20]).as_bytes());
    let (_, events) = recording.lines(End::Leak);
    assert_eq!(shown(&events, "o"), "x ");
    // The twin: what only looks like a beginning is shown at the end.
    let recording = Recording::new(1 << 20, false);
    recording.cast.bytes(Stream::Stdout, format!("x {}", &REAL[..9]).as_bytes());
    let (_, events) = recording.lines(End::Whole);
    assert_eq!(shown(&events, "o"), format!("x {}", &REAL[..9]));
}

#[test]
fn above_its_size_it_only_counts() {
    let recording = Recording::new(10, false);
    recording.cast.bytes(Stream::Stdout, b"0123456");
    recording.cast.bytes(Stream::Stdout, b"789abcdef");
    recording.cast.bytes(Stream::Stderr, &[b'x'; 1000]);
    let (_, events) = recording.lines(End::Whole);
    assert_eq!(shown(&events, "o"), "0123456789");
    assert!(shown(&events, "m").starts_with("1006 more bytes"), "{events:?}");
}
