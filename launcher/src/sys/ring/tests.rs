//! The ring under honest, dying and hostile writers.

use super::*;
use shieldrun_abi::record::{BYTES, Kind, Record, TRUNCATED};
use shieldrun_abi::ring::Touch;
use std::collections::BTreeMap;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

/// A reader, the file, and a writer's mapping of it.
fn pair() -> (Ring, File, Mapping) {
    // SAFETY: a C string and flags.
    let raw = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(raw >= 0, "memfd_create: {}", io::Error::last_os_error());
    // SAFETY: just made, and nobody else's.
    let file = unsafe { File::from_raw_fd(raw) };
    let ring = Ring::create(file.try_clone().expect("a descriptor").into()).expect("a ring");
    let writer = Mapping::new(&file).expect("a mapping");
    (ring, file, writer)
}

fn drain(ring: &mut Ring) -> Vec<Claim> {
    let mut claims = Vec::new();
    ring.drain(&mut |claim| claims.push(claim));
    claims
}

fn repeats(ring: &mut Ring) -> Vec<Repeat> {
    let mut repeats = Vec::new();
    ring.repeats(&mut |repeat| repeats.push(repeat));
    repeats
}

fn env_read(pid: u32, variable: u32) -> Record {
    Record::new(Kind::EnvRead, pid, u64::from(variable) + 1, variable)
}

/// Runs `body` in a forked child, which ends without unwinding or running anything else of the test.
fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child only does what `body` does and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        body();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    pid
}

fn reap(pid: libc::pid_t) {
    // SAFETY: a child of ours; no status is asked for.
    assert_eq!(unsafe { libc::waitpid(pid, ptr::null_mut(), 0) }, pid);
}

/// Small, fast and the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn records_come_out_in_order_and_once() {
    let (mut ring, _file, writer) = pair();
    for lap in 0..5 {
        for variable in 0..500 {
            writer.shared().publish(&env_read(7, lap * 500 + variable));
        }
        let variables: Vec<u32> = drain(&mut ring)
            .iter()
            .map(|claim| match claim {
                Claim::EnvRead { variable, pid: 7, .. } => *variable,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(variables, (lap * 500..lap * 500 + 500).collect::<Vec<_>>());
        assert_eq!(drain(&mut ring), []);
    }
    assert_eq!((ring.dropped(), ring.forged(), ring.mapping.watch.is_severed()), (0, 0, false));
}

#[test]
fn what_finds_no_room_is_counted() {
    let (mut ring, _file, writer) = pair();
    for variable in 0..SLOTS as u32 + 10 {
        writer.shared().publish(&env_read(1, variable));
    }
    assert_eq!(ring.dropped(), 10);
    assert_eq!(drain(&mut ring).len(), SLOTS);
    writer.shared().publish(&env_read(1, 5));
    assert_eq!(drain(&mut ring).len(), 1);
    assert_eq!(ring.dropped(), 10);
}

#[test]
fn a_writer_that_dies_half_way_does_not_stop_the_reader() {
    let (mut ring, _file, writer) = pair();
    writer.shared().publish(&env_read(1, 0));
    for _ in 0..20 {
        reap(fork(|| {
            let _taken_and_never_published = writer.shared().reserve();
            // SAFETY: takes a number; ends this process.
            unsafe { libc::raise(libc::SIGKILL) };
        }));
    }
    writer.shared().publish(&env_read(1, 1));
    let begin = Instant::now();
    let mut claims = drain(&mut ring);
    assert_eq!(claims.len(), 1, "what was finished before comes at once");
    while claims.len() < 2 {
        assert!(begin.elapsed() < PATIENCE * 4, "twenty dead writers are waited for once, not twenty times");
        std::thread::sleep(Duration::from_millis(5));
        claims.extend(drain(&mut ring));
    }
    assert_eq!((ring.dropped(), ring.forged()), (20, 0));
}

#[test]
fn a_writer_that_comes_late_harms_nobody() {
    let (mut ring, _file, writer) = pair();
    let late = writer.shared().reserve().expect("room");
    assert_eq!(drain(&mut ring), []);
    std::thread::sleep(PATIENCE);
    assert_eq!(drain(&mut ring), []);
    assert_eq!(ring.dropped(), 1);
    late.publish();
    for variable in 0..SLOTS as u32 {
        writer.shared().publish(&env_read(1, variable));
    }
    assert_eq!(drain(&mut ring).len(), SLOTS);
    assert_eq!((ring.dropped(), ring.forged()), (1, 0));
}

#[test]
fn many_processes_write_at_once_and_every_record_is_read_or_counted() {
    let (mut ring, _file, writer) = pair();
    let (writers, each) = (4, 20_000);
    let children: Vec<_> = (0..writers)
        .map(|pid| {
            fork(|| {
                for variable in 0..each {
                    writer.shared().publish(&env_read(pid, variable));
                }
            })
        })
        .collect();
    let mut last = BTreeMap::new();
    let mut read = 0;
    let mut take = |ring: &mut Ring| {
        ring.drain(&mut |claim| {
            let Claim::EnvRead { pid, variable, at } = claim else { panic!("{claim:?}") };
            assert_eq!(at, Duration::from_nanos(u64::from(variable) + 1), "torn");
            if let Some(before) = last.insert(pid, variable) {
                assert!(before < variable, "out of order");
            }
            read += 1;
        });
    };
    for child in children {
        let mut status = 0;
        // SAFETY: a child of ours, and a live integer.
        while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
            take(&mut ring);
        }
        assert_eq!(status, 0);
    }
    take(&mut ring);
    take(&mut ring);
    assert_eq!(read + ring.dropped(), u64::from(writers * each));
    assert_eq!(ring.forged(), 0);
}

#[test]
fn repeats_are_counted_and_reported_once() {
    let (mut ring, _file, writer) = pair();
    let key = Key { pid: 42, kind: Kind::EnvRead, index: 3 };
    assert_eq!(writer.shared().touch(key), Touch::Say);
    assert_eq!(repeats(&mut ring), []);
    for _ in 0..200_000 {
        assert_eq!(writer.shared().touch(key), Touch::Counted);
    }
    let repeat = Repeat { pid: 42, kind: RepeatKind::EnvRead, index: 3, count: 200_000 };
    assert_eq!(repeats(&mut ring), [repeat]);
    assert_eq!(repeats(&mut ring), []);
    let _ = writer.shared().touch(key);
    assert_eq!(repeats(&mut ring), [Repeat { count: 1, ..repeat }]);
}

#[test]
fn counters_of_the_past_make_room() {
    let (mut ring, _file, writer) = pair();
    let mut said = 0;
    for pid in 0..3 * COUNTERS as u32 {
        let key = Key { pid, kind: Kind::EnvRead, index: 0 };
        assert_eq!(writer.shared().touch(key), Touch::Say);
        if writer.shared().touch(key) == Touch::Say {
            said += 1;
        }
        if pid % 512 == 0 {
            // Reported by the first call, seen to stand still by the second.
            let _ = (repeats(&mut ring), repeats(&mut ring));
        }
    }
    assert!(said < 30, "{said} pairs found no counter");
}

#[test]
fn a_full_counter_table_says_everything() {
    let (_ring, _file, writer) = pair();
    for counter in &writer.shared().counters {
        counter.key.store(u64::MAX, Ordering::Relaxed);
    }
    let key = Key { pid: 1, kind: Kind::EnvRead, index: 0 };
    assert_eq!(writer.shared().touch(key), Touch::Say);
    assert_eq!(writer.shared().touch(key), Touch::Say);
}

#[test]
fn a_forged_head_is_put_right() {
    let (mut ring, _file, writer) = pair();
    for head in [u64::MAX, 1 << 40, SLOTS as u64 + 1, 12_345] {
        writer.shared().header.head.0.store(head, Ordering::Relaxed);
        // Within a lap it looks like writers that died, and costs one patience.
        let _ = drain(&mut ring);
        std::thread::sleep(PATIENCE);
        while writer.shared().header.head.0.load(Ordering::Relaxed) != ring.tail {
            let _ = drain(&mut ring);
        }
        writer.shared().publish(&env_read(1, 9));
        assert_eq!(drain(&mut ring).len(), 1, "after head {head}");
    }
    assert!(ring.forged() > 0);
}

#[test]
fn a_ring_of_random_bytes_gives_claims_or_nothing_but_no_panic() {
    let (mut ring, file, writer) = pair();
    let mut random = Random(0x5eed);
    for round in 0..60 {
        let mut bytes = vec![0; LENGTH];
        for chunk in bytes.chunks_exact_mut(8) {
            // Sparse rounds leave much of it plausible.
            if random.next().is_multiple_of(1 + round % 7) {
                chunk.copy_from_slice(&random.next().to_ne_bytes());
            }
        }
        file.write_all_at(&bytes, 0).expect("written");
        // Slots that are full now, with random contents.
        for at in 0..64 {
            let position = ring.tail.wrapping_add(at);
            let slot = writer.shared().slot(position).expect("a slot");
            slot.sequence.store(lap(position).wrapping_add(1), Ordering::Relaxed);
        }
        let mut count = 0;
        ring.drain(&mut |claim| {
            let _ = (claim.at(), format!("{claim:?}"));
            count += 1;
        });
        assert!(count <= SLOTS);
        let _ = repeats(&mut ring);
        let _ = ring.dropped();
        ring.wait(Duration::from_micros(10)).expect("a sleep");
    }
    // And it still works once the writers behave.
    file.write_all_at(&vec![0; LENGTH], 0).expect("written");
    ring.tail = 0;
    writer.shared().publish(&env_read(1, 77));
    assert_eq!(drain(&mut ring).len(), 1);
}

#[test]
fn any_record_decodes_or_not_but_never_panics() {
    let mut random = Random(0xfeed);
    let mut kinds = BTreeMap::new();
    for _ in 0..200_000 {
        let kind = Kind::ALL[random.next() as usize % Kind::ALL.len()];
        let mut record = Record::new(kind, random.next() as u32, random.next(), random.next() as u32);
        record.flags = random.next() as u16;
        record.aux = random.next() as u32;
        let mut bytes = [0; BYTES];
        for chunk in bytes.chunks_mut(8) {
            let word = random.next().to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        if random.next().is_multiple_of(2) {
            let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];
            let family = families[random.next() as usize % families.len()] as u16;
            bytes[..2].copy_from_slice(&family.to_ne_bytes());
        }
        record.push(&bytes[..random.next() as usize % 40]);
        if random.next().is_multiple_of(8) {
            record.kind = random.next() as u8;
        }
        let decoded = Claim::decode(&record).is_some();
        *kinds.entry((record.kind, decoded)).or_insert(0) += 1;
    }
    assert!(kinds.contains_key(&(Kind::Connect as u8, true)));
    assert!(kinds.contains_key(&(Kind::Connect as u8, false)));
    assert!(kinds.contains_key(&(0, false)));
}

#[test]
fn a_start_is_taken_apart() {
    let (mut ring, _file, writer) = pair();
    let mut record = Record::new(Kind::Started, 10, 1, 0);
    record.aux = 9;
    record.push(b"/usr/bin/env\0env\0\0-i\0");
    writer.shared().publish(&record);
    let mut long = Record::new(Kind::Started, 11, 1, 0);
    long.push(b"/bin/x\0x\0");
    long.push(&[b'a'; BYTES]);
    writer.shared().publish(&long);
    let claims = drain(&mut ring);
    let Claim::Started { ppid, executable, args, truncated, .. } = &claims[0] else { panic!("{claims:?}") };
    assert_eq!((*ppid, &executable[..], *truncated), (9, &b"/usr/bin/env"[..], false));
    assert_eq!(args, &[b"env".to_vec(), b"".to_vec(), b"-i".to_vec()]);
    let Claim::Started { args, truncated, .. } = &claims[1] else { panic!("{claims:?}") };
    assert!(*truncated && long.flags & TRUNCATED != 0);
    assert_eq!(args.len(), 2);
}

#[test]
fn addresses_are_read_whatever_their_length() {
    let inet = [2, 0, 0x01, 0xbb, 198, 18, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Address::decode(&inet), Some(Address::Inet("198.18.0.7:443".parse().expect("an address"))));
    assert_eq!(Address::decode(&inet[..7]), None);
    let mut inet6 = vec![10, 0, 0, 53, 0, 0, 0, 0];
    inet6.extend([0; 15]);
    inet6.extend([1, 0, 0, 0, 0]);
    assert_eq!(Address::decode(&inet6), Some(Address::Inet("[::1]:53".parse().expect("an address"))));
    assert_eq!(Address::decode(b"\x01\0/run/x\0junk"), Some(Address::Unix(b"/run/x".to_vec())));
    assert_eq!(Address::decode(b"\x01\0\0abstract"), Some(Address::Unix(b"\0abstract".to_vec())));
    assert_eq!(Address::decode(b"\x01\0"), Some(Address::Unix(Vec::new())));
    assert_eq!(Address::decode(b"\x10\0rest"), Some(Address::Other(16)));
    assert_eq!(Address::decode(b"\x02"), None);
}

#[test]
fn a_file_cut_short_does_not_kill_the_reader() {
    for length in [0, 4096, LENGTH as u64 / 2] {
        let (mut ring, file, writer) = pair();
        writer.shared().publish(&env_read(1, 1));
        assert_eq!(drain(&mut ring).len(), 1);
        file.set_len(length).expect("cut");
        ring.tail = SLOTS as u64 - 1;
        for _ in 0..3 {
            let _ = drain(&mut ring);
            let _ = repeats(&mut ring);
            let _ = ring.dropped();
            ring.wait(Duration::from_millis(1)).expect("a sleep");
            ring.waker().wake();
        }
        assert!(ring.mapping.watch.is_severed(), "cut to {length}");
        assert!(!pair().0.mapping.watch.is_severed(), "other rings go on");
    }
}

#[test]
fn any_other_fault_ends_the_process_as_before() {
    let (_ring, _file, _writer) = pair();
    let child = fork(|| {
        let (_other, file, unwatched) = pair();
        unwatched.watch.end();
        file.set_len(0).expect("cut");
        let _ = unwatched.shared().header.magic.load(Ordering::Relaxed);
    });
    let mut status = 0;
    // SAFETY: a child of ours, and a live integer.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS, "{status:#x}");
}

#[test]
fn the_room_is_allocated_by_the_first_drain() {
    use std::os::unix::fs::MetadataExt;
    let (mut ring, file, _writer) = pair();
    let blocks = || file.metadata().expect("a file").blocks() * 512;
    assert!(blocks() < LENGTH as u64 / 2, "creating it is quick");
    let _ = drain(&mut ring);
    assert!(blocks() >= LENGTH as u64);
}

#[test]
fn only_an_empty_file_becomes_a_ring() {
    let (_ring, file, _writer) = pair();
    let error = Ring::create(file.into()).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn the_sleeper_is_woken_from_another_process_and_another_thread() {
    let (mut ring, _file, writer) = pair();
    let _ = drain(&mut ring);
    let child = fork(|| {
        std::thread::sleep(Duration::from_millis(50));
        Waker(Arc::new(Mapping::new(&_file).expect("a mapping"))).wake();
    });
    let begin = Instant::now();
    ring.wait(Duration::from_secs(20)).expect("a sleep");
    assert!(begin.elapsed() < Duration::from_secs(10));
    reap(child);

    let _ = drain(&mut ring);
    let waker = ring.waker();
    let thread = std::thread::spawn(move || waker.wake());
    ring.wait(Duration::from_secs(20)).expect("a sleep");
    assert!(begin.elapsed() < Duration::from_secs(10));
    thread.join().expect("the thread");

    let _ = drain(&mut ring);
    let begin = Instant::now();
    ring.wait(Duration::from_millis(30)).expect("a sleep");
    assert!(begin.elapsed() >= Duration::from_millis(25), "without a reason it sleeps");
    writer.shared().publish(&env_read(1, 1));
    ring.wait(Duration::from_secs(20)).expect("a sleep");
    assert!(begin.elapsed() < Duration::from_secs(10), "what is there is not slept over");
}

#[test]
fn a_guest_that_wakes_all_the_time_does_not_keep_us_busy() {
    let (mut ring, _file, writer) = pair();
    let begin = Instant::now();
    let mut turns = 0;
    while begin.elapsed() < Duration::from_millis(200) {
        let _ = drain(&mut ring);
        writer.shared().header.wake.0.fetch_add(1, Ordering::Relaxed);
        ring.wait(Duration::from_secs(1)).expect("a sleep");
        turns += 1;
    }
    assert!(turns < 250 + IDLE_WAKES, "{turns} turns in 200 ms");
}
