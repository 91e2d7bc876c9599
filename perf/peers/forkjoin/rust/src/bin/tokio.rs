//! perf/peers/forkjoin/rust/src/bin/tokio.rs: tokio, one spawned task a node.
use forkjoin::*;
use std::future::Future;
use std::pin::Pin;

fn skynet(first: u64, size: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return first;
        }
        let mut parts = Vec::with_capacity(10);
        for i in 0..10 {
            parts.push(tokio::spawn(skynet(first + i * (size / 10), size / 10)));
        }
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    })
}

fn main() {
    let o = parse_options();
    let n = o.size;
    if o.workload != "skynet" {
        eprintln!("no such workload: {}", o.workload);
        std::process::exit(2);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(o.workers).build().unwrap();
    measure(&o, || runtime.block_on(async { tokio::spawn(skynet(0, n)).await.unwrap() }));
}
