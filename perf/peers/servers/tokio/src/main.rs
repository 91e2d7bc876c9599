//! perf/peers/servers/tokio/src/main.rs: one worker is the current_thread runtime, more the multi_thread one.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch, Mutex};
use tokio::task::{yield_now, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

fn out(metric: &str, v: f64) {
    println!("{metric} {v:.6}");
}
fn rss() -> f64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}
fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
fn ns(t: Instant) -> f64 {
    t.elapsed().as_nanos() as f64
}
fn count_or(n: usize, dflt: usize) -> usize {
    if n == 0 { dflt } else { n }
}

async fn switch(n: usize) {
    let n = count_or(n, 2_000_000);
    let t = Instant::now();
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..n {
                    yield_now().await
                }
            })
        })
        .collect();
    for k in tasks {
        k.await.unwrap();
    }
    out("switch_ns", ns(t) / (2 * n) as f64);
}

async fn spawn(n0: usize) {
    let (n, batch) = (count_or(n0, 1_000_000), 1000);
    let t = Instant::now();
    let mut tasks = Vec::with_capacity(batch);
    for _ in 0..n / batch {
        for _ in 0..batch {
            tasks.push(tokio::spawn(yield_now()));
        }
        for k in tasks.drain(..) {
            k.await.unwrap();
        }
    }
    out("spawn_ns", ns(t) / n as f64);
    let n = count_or(n0, 500_000);
    let t = Instant::now();
    for _ in 0..n {
        tokio::spawn(yield_now()).await.unwrap();
    }
    out("spawn1_ns", ns(t) / n as f64);
}

async fn until_parked(parked: &AtomicUsize, n: usize) {
    while parked.load(Relaxed) < n {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(1)).await;
}

async fn park(n: usize) {
    let n = count_or(n, 100_000);
    let parked = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = watch::channel(false);
    let (r, t) = (rss(), Instant::now());
    let mut tasks = Vec::with_capacity(n);
    for _ in 0..n {
        let (mut rx, parked) = (rx.clone(), parked.clone());
        tasks.push(tokio::spawn(async move {
            parked.fetch_add(1, Relaxed);
            rx.changed().await.unwrap();
        }));
    }
    until_parked(&parked, n).await;
    let d = ns(t);
    out("park_bytes", (rss() - r) / n as f64);
    out("park_create_ns", d / n as f64);
    let t = Instant::now();
    tx.send(true).unwrap();
    for k in tasks {
        k.await.unwrap();
    }
    out("park_wake_ns", ns(t) / n as f64);
}

// Tokio has no rendezvous channel: a capacity of 1 is the nearest.
async fn pingpong(n: usize) {
    let n = count_or(n, 500_000);
    let (atx, mut arx) = mpsc::channel(1);
    let (btx, mut brx) = mpsc::channel(1);
    let k = tokio::spawn(async move {
        for _ in 0..n {
            btx.send(arx.recv().await.unwrap()).await.unwrap();
        }
    });
    let t = Instant::now();
    for i in 0..n {
        atx.send(i).await.unwrap();
        brx.recv().await.unwrap();
    }
    out("pingpong_ns", ns(t) / n as f64);
    k.await.unwrap();
}

async fn mpsc_(n: usize) {
    let n = count_or(n, 2_000_000) / 4;
    let (tx, mut rx) = mpsc::channel(128);
    let t = Instant::now();
    for _ in 0..4 {
        let tx = tx.clone();
        tokio::spawn(async move {
            for i in 0..n {
                tx.send(i).await.unwrap();
            }
        });
    }
    for _ in 0..4 * n {
        rx.recv().await.unwrap();
    }
    out("mpsc_per_s", (4 * n) as f64 * 1e9 / ns(t));
}

async fn ring(n: usize) {
    const SIZE: usize = 1000;
    let rounds = count_or(n, 1_000_000) / SIZE;
    let (first, mut rx) = mpsc::channel(1);
    for _ in 0..SIZE {
        let (tx, next) = mpsc::channel(1);
        let mut from = std::mem::replace(&mut rx, next);
        tokio::spawn(async move {
            for _ in 0..rounds {
                tx.send(from.recv().await.unwrap()).await.unwrap();
            }
        });
    }
    let t = Instant::now();
    for r in 0..rounds {
        first.send(r).await.unwrap();
        rx.recv().await.unwrap();
    }
    out("ring_hop_ns", ns(t) / (rounds * (SIZE + 1)) as f64);
}

async fn run_mutex(metric: &str, n: usize, hold: bool) {
    let m = Arc::new(Mutex::new(0usize));
    let t = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let m = m.clone();
            tokio::spawn(async move {
                for _ in 0..n {
                    let mut g = m.lock().await;
                    *g += 1;
                    if hold {
                        yield_now().await;
                    }
                }
            })
        })
        .collect();
    for k in tasks {
        k.await.unwrap();
    }
    out(metric, (8 * n) as f64 * 1e9 / ns(t));
}
async fn mutex(n: usize) {
    run_mutex("mutex_per_s", count_or(n, 1_000_000), false).await;
    run_mutex("mutex_yield_per_s", count_or(n, 50_000), true).await;
}

async fn timers(n: usize) {
    let n = count_or(n, 1_000_000);
    let mut seed = 42u64;
    let (r, t, c) = (rss(), Instant::now(), cpu());
    let mut tasks = Vec::with_capacity(n);
    for _ in 0..n {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let d = Duration::from_nanos((seed >> 33) % 1_000_000_000);
        tasks.push(tokio::spawn(sleep(d)));
    }
    let peak = rss();
    for k in tasks {
        k.await.unwrap();
    }
    out("timers_wall_s", ns(t) / 1e9);
    out("timers_cpu_s", cpu() - c);
    out("timers_mib", (peak - r) / 1048576.0);
}

async fn late() {
    let c = cpu();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn(async {
                let mut v = Vec::with_capacity(50);
                for _ in 0..50 {
                    let t = Instant::now();
                    sleep(Duration::from_millis(1)).await;
                    v.push(ns(t) - 1e6);
                }
                v
            })
        })
        .collect();
    let mut v = Vec::new();
    for k in tasks {
        v.extend(k.await.unwrap());
    }
    let c = cpu() - c;
    v.sort_by(f64::total_cmp);
    out("late_p50_us", v[v.len() / 2] / 1e3);
    out("late_p99_us", v[v.len() * 99 / 100] / 1e3);
    out("late_cpu_ns", c * 1e9 / v.len() as f64);
}

const BRANCHES: usize = 100;

// The polite way: a tree of tokens, each task waits for its own.
async fn cancel_token(n: usize) {
    let root = CancellationToken::new();
    let parked = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..BRANCHES {
        let (token, parked) = (root.child_token(), parked.clone());
        all.spawn(async move {
            let mut sub = JoinSet::new();
            for _ in 0..n / BRANCHES {
                let (token, parked) = (token.clone(), parked.clone());
                sub.spawn(async move {
                    parked.fetch_add(1, Relaxed);
                    token.cancelled().await;
                });
            }
            while sub.join_next().await.is_some() {}
        });
    }
    until_parked(&parked, n).await;
    let t = Instant::now();
    root.cancel();
    while all.join_next().await.is_some() {}
    out("cancel_ns", ns(t) / n as f64);
}

// The blunt way: abort drops the futures at their await.
async fn cancel_abort(n: usize) {
    let parked = Arc::new(AtomicUsize::new(0));
    let mut sets = Vec::new();
    for _ in 0..BRANCHES {
        let mut sub = JoinSet::new();
        for _ in 0..n / BRANCHES {
            let parked = parked.clone();
            sub.spawn(async move {
                parked.fetch_add(1, Relaxed);
                std::future::pending::<()>().await;
            });
        }
        sets.push(sub);
    }
    until_parked(&parked, n).await;
    let t = Instant::now();
    for s in &mut sets {
        s.shutdown().await;
    }
    out("cancel_abort_ns", ns(t) / n as f64);
}

async fn listen(port: usize) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port as u16)).await.unwrap()
}

async fn echo(port: usize) {
    let l = listen(port).await;
    loop {
        let mut c = match l.accept().await {
            Ok((c, _)) => c,
            Err(_) => continue,
        };
        c.set_nodelay(true).ok();
        tokio::spawn(async move {
            let mut buf = [0u8; 1024];
            while let Ok(n) = c.read(&mut buf).await {
                if n == 0 || c.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn http(port: usize) {
    use hyper::{server::conn::Http, service::service_fn, Body, Response};
    let l = listen(port).await;
    loop {
        let c = match l.accept().await {
            Ok((c, _)) => c,
            Err(_) => continue,
        };
        c.set_nodelay(true).ok();
        tokio::spawn(async move {
            let service = service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(Response::new(Body::from("Hello, World!")))
            });
            Http::new().http1_only(true).serve_connection(c, service).await.ok();
        });
    }
}

async fn run(what: String, n: usize) {
    match what.as_str() {
        "switch" => switch(n).await,
        "spawn" => spawn(n).await,
        "park" => park(n).await,
        "pingpong" => pingpong(n).await,
        "mpsc" => mpsc_(n).await,
        "ring" => ring(n).await,
        "mutex" => mutex(n).await,
        "timers" => timers(n).await,
        "late" => late().await,
        "cancel" => {
            cancel_token(count_or(n, 100_000)).await;
            cancel_abort(count_or(n, 100_000)).await;
        }
        "echo" => echo(n).await,
        "http" => http(n).await,
        _ => eprintln!("usage: tokio-peer WORKLOAD [WORKERS] [COUNT or PORT]"),
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let workers: usize = args.next().map_or(1, |s| s.parse().unwrap());
    let n: usize = args.next().map_or(0, |s| s.parse().unwrap());
    let rt = if workers == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
    };
    rt.block_on(async { tokio::spawn(run(what, n)).await.unwrap() });
}
