//! perf/peers/forkjoin/rust/src/lib.rs: what the Rust programs share, the workloads' leaf
//! arithmetic and the command line.
use std::time::Instant;

pub const UTS_ROOT: u64 = 7;
pub const UTS_MAX_CHILDREN: usize = 100;

pub fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
    z ^ (z >> 31)
}

pub fn uts_child(state: u64, i: usize) -> u64 {
    mix64(state.wrapping_add((i as u64 + 1).wrapping_mul(0x9e3779b97f4a7c15)))
}

pub fn uts_children(state: u64, depth: u32) -> usize {
    let u = mix64(state ^ 0x2545f4914f6cdd1d);
    let mut limit = u64::MAX / 5 * 4;
    let mut n = 0;
    if depth == 0 {
        return 0;
    }
    while u < limit && n < UTS_MAX_CHILDREN {
        n += 1;
        limit = limit / 5 * 4;
    }
    n
}

pub fn collatz(mut n: u64) -> u64 {
    let mut steps = 0;
    while n != 1 {
        n = if n & 1 != 0 { 3 * n + 1 } else { n / 2 };
        steps += 1;
    }
    steps
}

pub struct Options {
    pub workload: String,
    pub size: u64,
    pub workers: usize,
    pub reps: usize,
}

pub fn parse_options() -> Options {
    let args: Vec<String> = std::env::args().collect();
    if args.len() != 5 {
        eprintln!("usage: {} WORKLOAD SIZE WORKERS REPS", args[0]);
        std::process::exit(2);
    }
    Options {
        workload: args[1].clone(),
        size: args[2].parse().unwrap(),
        workers: args[3].parse().unwrap(),
        reps: args[4].parse().unwrap(),
    }
}

pub fn measure(o: &Options, mut run: impl FnMut() -> u64) {
    let mut result = 0;
    let mut seconds = Vec::new();
    for _ in 0..o.reps {
        let start = Instant::now();
        result = run();
        seconds.push(start.elapsed().as_secs_f64());
    }
    print!("{} {} {} {}", o.workload, o.size, o.workers, result);
    for s in seconds {
        print!(" {:.6}", s);
    }
    println!();
}
