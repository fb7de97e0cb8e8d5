// Mounts and lazy umounts by goroutines, while the runtime stops them for its garbage, which it does by signals.
//
//	preempted MOUNTS GOROUTINES DIRECTORY TYPE
//
// Prints how often each call came out how; then the milliseconds all of it took, and how many signals came.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var sink []byte

func outcome(call string, err error) string {
	if err == nil {
		return call + " OK"
	}
	return fmt.Sprintf("%s %v", call, err)
}

// rounds mounts and umounts on a directory of its own.
func rounds(count int, directory, kind string, tell func(string)) {
	tell(outcome("mkdir", os.MkdirAll(directory, 0o755)))
	for i := 0; i < count; i++ {
		tell(outcome("mount", syscall.Mount("preempted", directory, kind, 0, "")))
		tell(outcome("umount", syscall.Unmount(directory, syscall.MNT_DETACH)))
	}
}

func main() {
	mounts, _ := strconv.Atoi(os.Args[1])
	goroutines, _ := strconv.Atoi(os.Args[2])
	signals := make(chan os.Signal, 1<<20)
	signal.Notify(signals, syscall.SIGURG)
	var over atomic.Bool
	go func() {
		for !over.Load() {
			sink = make([]byte, 1<<20)
			runtime.GC()
			time.Sleep(100 * time.Microsecond)
		}
	}()
	var lock sync.Mutex
	var all sync.WaitGroup
	seen := map[string]int{}
	start := time.Now()
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			rounds(mounts/goroutines, fmt.Sprintf("%s/%d", os.Args[3], i), os.Args[4], func(what string) {
				lock.Lock()
				seen[what]++
				lock.Unlock()
			})
		}(i)
	}
	all.Wait()
	took := time.Since(start)
	over.Store(true)
	lines := []string{}
	for what, count := range seen {
		lines = append(lines, fmt.Sprintf("%s %d", what, count))
	}
	sort.Strings(lines)
	fmt.Println(lines)
	fmt.Println(took.Milliseconds(), len(signals))
}
