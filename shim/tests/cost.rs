//! What the shim costs, measured. Ignored by default, since a busy machine would fail it for no reason:
//! `cargo test -p shieldrun-shim --test cost -- --ignored --nocapture`.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shieldrun_abi::record::Kind;
use support::{Extent, Guest, Treatment, bytes, text};

fn guest() -> Guest {
    Guest::new(|table, home| {
        for index in 0..20 {
            table.variable(format!("SECRET_{index}_KEY").as_bytes(), index);
        }
        table.variable(b"API_TOKEN", 20);
        for (index, name) in
            [".aws", ".ssh", ".gnupg", ".config/gh", ".docker/config.json", ".netrc"].iter().enumerate()
        {
            table.place(bytes(&home.join(name)), index as u32, Treatment::Block, Extent::Tree);
        }
        for index in 0..20 {
            let path = home.join(format!("project/{index}/.env"));
            table.place(bytes(&path), 10 + index, Treatment::Synthetic, Extent::File);
        }
    })
}

fn figures(output: &str) -> BTreeMap<String, f64> {
    let pairs = output.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
#[ignore = "a measurement"]
fn a_call_costs_little() {
    let guest = guest();
    let program = guest.compile("cost.c", &[]);
    let deep = guest.file("project/src/deeply/nested/module/of/some/package/main_module_file.py", "x");
    let run = |hooked: bool| {
        let mut command = guest.command(&program);
        command.arg(&deep).env("API_TOKEN", "made-up").env("PLAIN", "p").env("API_TOKENS_PUBLIC", "p");
        for index in 0..40 {
            command.env(format!("FILLER_{index}"), "x");
        }
        if !hooked {
            command.env_remove("LD_PRELOAD");
        }
        figures(&text(&guest.run(&mut command).stdout))
    };
    let mut rounds: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for _ in 0..7 {
        let (native, hooked) = (run(false), run(true));
        for (name, value) in native {
            rounds.entry(name.clone()).or_default().push((value, hooked[&name]));
        }
    }
    println!("{:20} {:>10} {:>10} {:>10} {:>7}", "", "native ns", "hooked ns", "over ns", "ratio");
    for (name, pairs) in &rounds {
        let native = median(pairs.iter().map(|pair| pair.0));
        let hooked = median(pairs.iter().map(|pair| pair.1));
        let over = median(pairs.iter().map(|pair| pair.1 - pair.0));
        let ratio = median(pairs.iter().map(|pair| pair.1 / pair.0));
        println!("{name:20} {native:10.1} {hooked:10.1} {over:10.1} {ratio:7.2}");
        match name.as_str() {
            "getenv-plain" | "getenv-absent" | "getenv-near" => {
                assert!(over <= 30.0, "{name}: {over} ns over native")
            }
            name if name.starts_with("open") => assert!(ratio <= 1.1, "{name}: {ratio} x native"),
            _ => {}
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn a_start_costs_little() {
    let guest = guest();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..300 {
        for (hooked, times) in times.iter_mut().enumerate() {
            let mut command = guest.command("/bin/true");
            if hooked == 0 {
                command.env_remove("LD_PRELOAD");
            }
            let begin = Instant::now();
            command.status().expect("true");
            times.push(begin.elapsed());
        }
        // As the launcher would: or the ring is full after 2,048 starts.
        assert!(guest.said_of(Kind::Started).len() <= 1);
    }
    let [native, hooked] = times.map(|times| median(times.iter().map(Duration::as_secs_f64)) * 1e6);
    println!("a process: {native:.0} us native, {hooked:.0} us hooked");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
