//! perf/peers/forkjoin/rust/src/bin/rayon.rs: rayon, join for fib, a scope at every node
//! else, a parallel iterator for the loop.
use forkjoin::*;
use rayon::prelude::*;

fn fib(n: u32) -> u64 {
    if n < 2 {
        return n as u64;
    }
    let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
    a + b
}

fn queens(all: u32, cols: u32, left: u32, right: u32) -> u64 {
    if cols == all {
        return 1;
    }
    let mut part = [0u64; 32];
    rayon::scope(|s| {
        let mut open = all & !(cols | left | right);
        for out in part.iter_mut() {
            if open == 0 {
                break;
            }
            let bit = open & open.wrapping_neg();
            open &= open - 1;
            s.spawn(move |_| *out = queens(all, cols | bit, (left | bit) << 1, (right | bit) >> 1));
        }
    });
    part.iter().sum()
}

fn uts(state: u64, depth: u32) -> u64 {
    let n = uts_children(state, depth);
    if n == 0 {
        return 1;
    }
    let mut part = [0u64; UTS_MAX_CHILDREN];
    rayon::scope(|s| {
        for (i, out) in part[..n].iter_mut().enumerate() {
            let child = uts_child(state, i);
            s.spawn(move |_| *out = uts(child, depth - 1));
        }
    });
    1 + part[..n].iter().sum::<u64>()
}

fn skynet(first: u64, size: u64) -> u64 {
    if size == 1 {
        return first;
    }
    let mut part = [0u64; 10];
    rayon::scope(|s| {
        for (i, out) in part.iter_mut().enumerate() {
            s.spawn(move |_| *out = skynet(first + i as u64 * (size / 10), size / 10));
        }
    });
    part.iter().sum()
}

fn flat(n: u64) -> u64 {
    let mut slots = vec![0u8; n as usize];
    rayon::scope(|s| {
        for slot in slots.iter_mut() {
            s.spawn(move |_| *slot = 1);
        }
    });
    slots.iter().map(|&x| x as u64).sum()
}

fn main() {
    let o = parse_options();
    let n = o.size;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(o.workers).build().unwrap();
    pool.install(|| match o.workload.as_str() {
        "fib" => measure(&o, || fib(n as u32)),
        "nqueens" => measure(&o, || queens((1 << n) - 1, 0, 0, 0)),
        "uts" => measure(&o, || uts(UTS_ROOT, n as u32)),
        "skynet" => measure(&o, || skynet(0, n)),
        "for" => measure(&o, || (1..=n).into_par_iter().map(collatz).sum()),
        "flat" => measure(&o, || flat(n)),
        _ => {
            eprintln!("no such workload: {}", o.workload);
            std::process::exit(2);
        }
    });
}
