// perf/peers/forkjoin/go/main.go: goroutines and sync.WaitGroup. A workload named with "_cutoff" runs serially
// below a fixed depth, as Go programs usually do; the others spawn everywhere.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func fib(n int) int64 {
	if n < 2 {
		return int64(n)
	}
	var a int64
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		a = fib(n - 1)
		wg.Done()
	}()
	b := fib(n - 2)
	wg.Wait()
	return a + b
}

func fibSerial(n int) int64 {
	if n < 2 {
		return int64(n)
	}
	return fibSerial(n-1) + fibSerial(n-2)
}

func fibCutoff(n int) int64 {
	if n < 20 {
		return fibSerial(n)
	}
	var a int64
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		a = fibCutoff(n - 1)
		wg.Done()
	}()
	b := fibCutoff(n - 2)
	wg.Wait()
	return a + b
}

func queensSerial(all, cols, left, right uint32) int64 {
	if cols == all {
		return 1
	}
	var sum int64
	for open := all &^ (cols | left | right); open != 0; open &= open - 1 {
		bit := open & -open
		sum += queensSerial(all, cols|bit, (left|bit)<<1, (right|bit)>>1)
	}
	return sum
}

// queens spawns a goroutine per safe child down to `depth` more rows.
func queens(all, cols, left, right uint32, depth int) int64 {
	if cols == all {
		return 1
	}
	if depth == 0 {
		return queensSerial(all, cols, left, right)
	}
	var part [32]int64
	var wg sync.WaitGroup
	n := 0
	for open := all &^ (cols | left | right); open != 0; open &= open - 1 {
		bit := open & -open
		out := &part[n]
		n++
		wg.Add(1)
		go func() {
			*out = queens(all, cols|bit, (left|bit)<<1, (right|bit)>>1, depth-1)
			wg.Done()
		}()
	}
	wg.Wait()
	var sum int64
	for i := 0; i < n; i++ {
		sum += part[i]
	}
	return sum
}

func mix64(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func utsChild(state uint64, i int) uint64 {
	return mix64(state + uint64(i+1)*0x9e3779b97f4a7c15)
}

func utsChildren(state uint64, depth int) int {
	u := mix64(state ^ 0x2545f4914f6cdd1d)
	limit := ^uint64(0) / 5 * 4
	n := 0
	if depth == 0 {
		return 0
	}
	for u < limit && n < 100 {
		n++
		limit = limit / 5 * 4
	}
	return n
}

func uts(state uint64, depth int) int64 {
	n := utsChildren(state, depth)
	if n == 0 {
		return 1
	}
	part := make([]int64, n)
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		child, out := utsChild(state, i), &part[i]
		go func() {
			*out = uts(child, depth-1)
			wg.Done()
		}()
	}
	wg.Wait()
	sum := int64(1)
	for _, p := range part {
		sum += p
	}
	return sum
}

func skynet(first, size int64) int64 {
	if size == 1 {
		return first
	}
	var part [10]int64
	var wg sync.WaitGroup
	wg.Add(10)
	for i := int64(0); i < 10; i++ {
		i := i
		go func() {
			part[i] = skynet(first+i*(size/10), size/10)
			wg.Done()
		}()
	}
	wg.Wait()
	var sum int64
	for _, p := range part {
		sum += p
	}
	return sum
}

func collatz(n uint64) int64 {
	var steps int64
	for n != 1 {
		if n&1 != 0 {
			n = 3*n + 1
		} else {
			n /= 2
		}
		steps++
	}
	return steps
}

// parallelFor hands out blocks of 1024 numbers from a shared counter.
func parallelFor(n int64) int64 {
	const block = 1024
	var next, total int64
	var wg sync.WaitGroup
	for w := runtime.GOMAXPROCS(0); w > 0; w-- {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var sum int64
			for {
				lo := atomic.AddInt64(&next, block) - block
				if lo >= n {
					break
				}
				hi := lo + block
				if hi > n {
					hi = n
				}
				for i := lo; i < hi; i++ {
					sum += collatz(uint64(i + 1))
				}
			}
			atomic.AddInt64(&total, sum)
		}()
	}
	wg.Wait()
	return total
}

func flat(n int64) int64 {
	slots := make([]uint8, n)
	var wg sync.WaitGroup
	for i := range slots {
		slot := &slots[i]
		wg.Add(1)
		go func() {
			*slot = 1
			wg.Done()
		}()
	}
	wg.Wait()
	var sum int64
	for _, s := range slots {
		sum += int64(s)
	}
	return sum
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: PROGRAM WORKLOAD SIZE WORKERS REPS")
		os.Exit(2)
	}
	size, _ := strconv.ParseInt(os.Args[2], 10, 64)
	workers, _ := strconv.Atoi(os.Args[3])
	reps, _ := strconv.Atoi(os.Args[4])
	runtime.GOMAXPROCS(workers)
	all := uint32(1)<<uint(size&31) - 1
	workloads := map[string]func() int64{
		"fib":            func() int64 { return fib(int(size)) },
		"fib_cutoff":     func() int64 { return fibCutoff(int(size)) },
		"nqueens":        func() int64 { return queens(all, 0, 0, 0, 32) },
		"nqueens_cutoff": func() int64 { return queens(all, 0, 0, 0, 3) },
		"uts":            func() int64 { return uts(7, int(size)) },
		"skynet":         func() int64 { return skynet(0, size) },
		"for":            func() int64 { return parallelFor(size) },
		"flat":           func() int64 { return flat(size) },
	}
	run, ok := workloads[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such workload:", os.Args[1])
		os.Exit(2)
	}
	var result int64
	seconds := make([]float64, reps)
	for i := range seconds {
		start := time.Now()
		result = run()
		seconds[i] = time.Since(start).Seconds()
	}
	fmt.Print(os.Args[1], " ", size, " ", workers, " ", result)
	for _, s := range seconds {
		fmt.Printf(" %.6f", s)
	}
	fmt.Println()
}
