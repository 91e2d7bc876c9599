// perf/peers/servers/go/main.go: goroutines, channels, context. GOMAXPROCS is the number of workers.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var count int

func countOr(n int) int {
	if count != 0 {
		return count
	}
	return n
}

func out(metric string, v float64) { fmt.Printf("%s %.6g\n", metric, v) }

func ns(d time.Duration) float64 { return float64(d.Nanoseconds()) }

func rss() float64 {
	b, _ := os.ReadFile("/proc/self/statm")
	n, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return float64(n * os.Getpagesize())
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func wSwitch() {
	n := countOr(2000000)
	var wg sync.WaitGroup
	wg.Add(2)
	t := time.Now()
	for i := 0; i < 2; i++ {
		go func() {
			for k := 0; k < n; k++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	out("switch_ns", ns(time.Since(t))/float64(2*n))
}

func wSpawn() {
	n, batch := countOr(1000000), 1000
	t := time.Now()
	for i := 0; i < n; i += batch {
		var wg sync.WaitGroup
		wg.Add(batch)
		for k := 0; k < batch; k++ {
			go func() {
				runtime.Gosched()
				wg.Done()
			}()
		}
		wg.Wait()
	}
	out("spawn_ns", ns(time.Since(t))/float64(n))
	n = countOr(500000)
	t = time.Now()
	for i := 0; i < n; i++ {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			runtime.Gosched()
			wg.Done()
		}()
		wg.Wait()
	}
	out("spawn1_ns", ns(time.Since(t))/float64(n))
}

func wPark() {
	n := countOr(100000)
	var wg sync.WaitGroup
	var parked int64
	ev := make(chan struct{})
	r, t := rss(), time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&parked, 1)
			<-ev
			wg.Done()
		}()
	}
	for atomic.LoadInt64(&parked) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Millisecond)
	d := time.Since(t)
	out("park_bytes", (rss()-r)/float64(n))
	out("park_create_ns", ns(d)/float64(n))
	t = time.Now()
	close(ev)
	wg.Wait()
	out("park_wake_ns", ns(time.Since(t))/float64(n))
}

func wPingpong() {
	n := countOr(500000)
	a, b := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			b <- <-a
		}
	}()
	t := time.Now()
	for i := 0; i < n; i++ {
		a <- i
		<-b
	}
	out("pingpong_ns", ns(time.Since(t))/float64(n))
}

func wMpsc() {
	n := countOr(2000000) / 4
	c := make(chan int, 128)
	t := time.Now()
	for p := 0; p < 4; p++ {
		go func() {
			for i := 0; i < n; i++ {
				c <- i
			}
		}()
	}
	for i := 0; i < 4*n; i++ {
		<-c
	}
	out("mpsc_per_s", float64(4*n)*1e9/ns(time.Since(t)))
}

func wRing() {
	const size = 1000
	rounds := countOr(1000000) / size
	var c [size + 1]chan int
	for i := range c {
		c[i] = make(chan int)
	}
	for i := 0; i < size; i++ {
		go func(i int) {
			for r := 0; r < rounds; r++ {
				c[i+1] <- <-c[i]
			}
		}(i)
	}
	t := time.Now()
	for r := 0; r < rounds; r++ {
		c[0] <- r
		<-c[size]
	}
	out("ring_hop_ns", ns(time.Since(t))/float64(rounds*(size+1)))
}

func runMutex(metric string, n int, yield bool) {
	var m sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	t := time.Now()
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			for k := 0; k < n; k++ {
				m.Lock()
				counter++
				if yield {
					runtime.Gosched()
				}
				m.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	out(metric, float64(8*n)*1e9/ns(time.Since(t)))
}

func wMutex() {
	runMutex("mutex_per_s", countOr(1000000), false)
	runMutex("mutex_yield_per_s", countOr(50000), true)
}

func wTimers() {
	n := countOr(1000000)
	var wg sync.WaitGroup
	seed := uint64(42)
	r, t, c := rss(), time.Now(), cpu()
	wg.Add(n)
	for i := 0; i < n; i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		d := time.Duration((seed >> 33) % 1000000000)
		go func() {
			time.Sleep(d)
			wg.Done()
		}()
	}
	peak := rss()
	wg.Wait()
	out("timers_wall_s", time.Since(t).Seconds())
	out("timers_cpu_s", (cpu() - c).Seconds())
	out("timers_mib", (peak-r)/1048576)
}

func wLate() {
	const sleepers, naps = 1000, 50
	late := make([]time.Duration, sleepers*naps)
	var wg sync.WaitGroup
	wg.Add(sleepers)
	c := cpu()
	for i := 0; i < sleepers; i++ {
		go func(i int) {
			for k := 0; k < naps; k++ {
				t := time.Now()
				time.Sleep(time.Millisecond)
				late[i*naps+k] = time.Since(t) - time.Millisecond
			}
			wg.Done()
		}(i)
	}
	wg.Wait()
	c = cpu() - c
	sort.Slice(late, func(a, b int) bool { return late[a] < late[b] })
	out("late_p50_us", ns(late[len(late)/2])/1e3)
	out("late_p99_us", ns(late[len(late)*99/100])/1e3)
	out("late_cpu_ns", ns(c)/float64(len(late)))
}

func wCancel() {
	const branches = 100
	n := countOr(100000)
	var parked int64
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Add(branches)
	for b := 0; b < branches; b++ {
		go func() {
			sub, done := context.WithCancel(ctx)
			defer done()
			var wg sync.WaitGroup
			wg.Add(n / branches)
			for i := 0; i < n/branches; i++ {
				go func() {
					atomic.AddInt64(&parked, 1)
					<-sub.Done()
					wg.Done()
				}()
			}
			wg.Wait()
			all.Done()
		}()
	}
	for atomic.LoadInt64(&parked) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Millisecond)
	t := time.Now()
	cancel()
	all.Wait()
	out("cancel_ns", ns(time.Since(t))/float64(n))
}

func listen() net.Listener {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", count))
	if err != nil {
		panic(err)
	}
	return l
}

func wEcho() {
	l := listen()
	for {
		c, err := l.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 1024)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if _, err = c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func wHTTP() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, World!") })
	http.Serve(listen(), nil)
}

func main() {
	w := 1
	if len(os.Args) > 2 {
		w, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) > 3 {
		count, _ = strconv.Atoi(os.Args[3])
	}
	runtime.GOMAXPROCS(w)
	all := map[string]func(){"switch": wSwitch, "spawn": wSpawn, "park": wPark, "pingpong": wPingpong,
		"mpsc": wMpsc, "ring": wRing, "mutex": wMutex, "timers": wTimers, "late": wLate,
		"cancel": wCancel, "echo": wEcho, "http": wHTTP}
	if len(os.Args) < 2 || all[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go-peer WORKLOAD [WORKERS] [COUNT or PORT]")
		os.Exit(2)
	}
	all[os.Args[1]]()
}
