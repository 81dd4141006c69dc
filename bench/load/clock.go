package main

import (
	"log"
	"math/bits"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// clock reads CLOCK_MONOTONIC, which a client on the same machine can read too.
//
// Go's own monotonic time is that clock from an origin that it keeps to itself, so one system call
// finds the distance.
type clock struct {
	begin   time.Time
	beginNs int64
}

func newClock() clock {
	const clockMonotonic = 1
	var now syscall.Timespec
	before := time.Now()
	_, _, errno := syscall.Syscall(
		syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		log.Fatal(errno)
	}
	return clock{before, now.Nano()}
}

func (c clock) now() int64 {
	return c.beginNs + int64(time.Since(c.begin))
}

// lateness counts how long after its time a chunk was sent: bucket i below 2^i microseconds.
type lateness struct {
	buckets [40]atomic.Uint64
}

func (l *lateness) add(late time.Duration) {
	l.buckets[bits.Len64(uint64(max(late, 0))/1000)].Add(1)
}

// percentileMs is the upper bound of the bucket that holds it, in milliseconds.
func (l *lateness) percentileMs(percent uint64) float64 {
	var total, seen uint64
	for i := range l.buckets {
		total += l.buckets[i].Load()
	}
	for i := range l.buckets {
		seen += l.buckets[i].Load()
		if total > 0 && seen*100 >= total*percent {
			return float64(uint64(1)<<i) / 1000
		}
	}
	return 0
}
