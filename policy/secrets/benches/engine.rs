//! The engine's speed: the scan beside `memchr` and a plain Aho-Corasick automaton, and the detector on an
//! ordinary environment.
//!
//! Counts processor time, not the clock's: what else the machine does then shows through its caches only.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::time::Duration;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use shieldrun_secrets::{Format, Registry, RunKey, edit, substitute_env};

const SIZE: usize = 16 << 20;

/// The time that this thread was on a processor.
struct ProcessorTime;

type Criterion = criterion::Criterion<ProcessorTime>;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Made-up bytes, the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self, len: usize) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..len).map(|_| alphabet[(self.next() % 62) as usize] as char).collect()
    }
}

fn registry(secrets: usize) -> (Registry, Vec<String>) {
    let mut noise = Noise(7);
    let values: Vec<String> = (0..secrets).map(|_| noise.word(40)).collect();
    let vars: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, v)| (format!("V{n}_TOKEN").into_bytes(), v.clone().into_bytes()))
        .collect();
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    substitute_env(&mut registry, &vars);
    (registry, values)
}

/// Source text as programs print it: this file over and over, with numbers so that lines differ.
fn source_text() -> Vec<u8> {
    let lines: Vec<&str> = include_str!("engine.rs").lines().collect();
    let mut out = Vec::with_capacity(SIZE + 200);
    let mut noise = Noise(3);
    while out.len() < SIZE {
        let line = lines[(noise.next() % lines.len() as u64) as usize];
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(format!(" {}\n", noise.next() % 1000).as_bytes());
    }
    out
}

fn base64_text() -> Vec<u8> {
    let mut noise = Noise(5);
    noise.word(SIZE).into_bytes()
}

fn random_bytes() -> Vec<u8> {
    let mut noise = Noise(9);
    (0..SIZE / 8).flat_map(|_| noise.next().to_le_bytes()).collect()
}

fn scan(c: &mut Criterion) {
    let texts = [("source", source_text()), ("base64", base64_text()), ("random", random_bytes())];
    for secrets in [20, 100, 1_000, 10_000] {
        let (registry, _) = registry(secrets);
        let scanner = registry.scanner();
        let mut group = c.benchmark_group(format!("scan {secrets} secrets"));
        group.throughput(Throughput::Bytes(SIZE as u64)).sample_size(10);
        for (name, text) in &texts {
            group.bench_function(*name, |b| {
                b.iter(|| {
                    let mut state = scanner.stream();
                    for chunk in text.chunks(64 << 10) {
                        assert!(state.feed(&scanner, black_box(chunk)).is_none());
                    }
                });
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("beside");
    group.throughput(Throughput::Bytes(SIZE as u64)).sample_size(10);
    let (_, values) = registry(100);
    let automaton =
        AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(&values).expect("an automaton");
    for (name, text) in &texts {
        group.bench_function(format!("memchr, {name}"), |b| {
            b.iter(|| memchr::memchr_iter(0xFF, black_box(text)).count())
        });
        group.bench_function(format!("aho-corasick DFA, 100 raw values, {name}"), |b| {
            b.iter(|| automaton.is_match(black_box(text.as_slice())));
        });
    }
    group.finish();
}

fn detect(c: &mut Criterion) {
    let mut noise = Noise(11);
    let vars: Vec<(Vec<u8>, Vec<u8>)> = (0..200)
        .map(|n| match n % 10 {
            0 => (format!("SERVICE_{n}_TOKEN").into_bytes(), noise.word(40).into_bytes()),
            1 => (
                format!("SERVICE_{n}_URL").into_bytes(),
                format!("https://host-{n}.example/path").into_bytes(),
            ),
            2 => {
                (format!("DIR_{n}").into_bytes(), format!("/usr/lib/thing-{n}/bin:/opt/{n}/bin").into_bytes())
            }
            _ => (format!("SETTING_{n}").into_bytes(), format!("value {n}").into_bytes()),
        })
        .collect();
    c.bench_function("200 variables, 20 secrets, registry and all", |b| {
        b.iter(|| {
            let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
            substitute_env(&mut registry, black_box(&vars))
        });
    });
    let (registry, _) = registry(100);
    c.bench_function("building the scanner for 100 secrets", |b| b.iter(|| registry.scanner()));
    c.bench_function("a file name that tells nothing", |b| {
        b.iter(|| shieldrun_secrets::workspace_place(black_box(b"component.tsx"), black_box(b"src")));
    });
}

/// What the look below encodings costs a request that holds nothing: code as an agent sends it to its model.
fn deep(c: &mut Criterion) {
    let (registry, _) = registry(20);
    let scanner = registry.scanner();
    let code = "let x = \"a\" + foo(b, 'c'); // and % so on\n".repeat(480);
    let said = format!("{{\"content\":\"{}\"}}", code.replace('"', "\\\"").replace('\n', "\\n"));
    let mut group = c.benchmark_group("below encodings, 20 KiB");
    group.sample_size(20);
    for (name, body) in [("code", &code), ("code in JSON", &said)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| scanner.deep(black_box(body.as_bytes()))));
    }
    group.finish();
}

/// The armour of an RSA-2048 key, as far as its size is read: a version and a modulus.
fn rsa_armour(tail: u8) -> Vec<u8> {
    let mut der = vec![0x30, 0x82, 1, 8, 2, 1, 0, 2, 0x82, 1, 1, 0, 0xc1];
    der.extend((0..254).map(|n| n as u8));
    der.push(tail);
    let text = data_encoding::BASE64.encode(&der);
    format!("-----BEGIN RSA PRIVATE KEY-----\n{text}\n-----END RSA PRIVATE KEY-----\n").into_bytes()
}

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("keys");
    group.sample_size(20);
    let mut tail = 0_u8;
    group.bench_function("an RSA-2048 key", |b| {
        b.iter(|| {
            tail = tail.wrapping_add(1);
            let mut registry = Registry::new(RunKey::from_bytes([tail; 32]));
            edit(&mut registry, Format::Pem, "key", &rsa_armour(tail)).expect("a key")
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = criterion::Criterion::default().with_measurement(ProcessorTime);
    targets = scan, deep, detect, keys
}
criterion_main!(benches);
