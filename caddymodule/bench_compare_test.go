package caddymodule_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How the benchmarks compare.

const callers = 16

// side is one side of a comparison: where its requests go, and what the n-th of them is.
type side struct {
	name    string
	conns   sender
	request func(n int) string
}

// sender sends requests, from several callers at once, and waits for all answers.
type sender interface {
	send(b *testing.B, requests []string)
}

// compare sends b.N requests to each side, some hundreds in each turn, and reports the rate of the
// first as a share of that of the second, and the same of the time that the processors worked for
// them, which other load on the machine changes less.
func compare(b *testing.B, ours, floor side, metric string) {
	const turn = 400
	seen := 0
	perRequest, worked := map[string][]float64{}, map[string][]float64{}
	run := func(s side, n int) {
		requests := make([]string, n)
		for i := range requests {
			requests[i] = s.request(seen)
			seen++
		}
		b.StartTimer()
		start, before := time.Now(), processorTime(b)
		s.conns.send(b, requests)
		elapsed, work := time.Since(start), processorTime(b)-before
		b.StopTimer()
		if n == turn {
			perRequest[s.name] = append(perRequest[s.name], float64(elapsed.Nanoseconds())/float64(n))
			worked[s.name] = append(worked[s.name], float64(work.Nanoseconds())/float64(n))
		}
	}
	b.StopTimer()
	b.ResetTimer()
	for left := max(b.N, 2*turn); left > 0; left -= turn {
		first, second := ours, floor
		if left/turn%2 == 0 {
			first, second = floor, ours
		}
		run(first, turn)
		run(second, turn)
	}
	median := func(of map[string][]float64, s side) float64 {
		times := of[s.name]
		slices.Sort(times)
		return times[len(times)/2]
	}
	b.ReportMetric(median(perRequest, floor)/median(perRequest, ours), metric)
	b.ReportMetric(median(worked, floor)/median(worked, ours), metric+"-cpu")
	for _, s := range []side{ours, floor} {
		b.ReportMetric(median(perRequest, s), "ns/"+s.name)
		b.ReportMetric(median(worked, s), "cpu-ns/"+s.name)
	}
}

// processorTime is the time that the processors have worked for this process, and in the kernel for
// it.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// connections are connections to one address, which are kept alive.
type connections []*bufio.ReadWriter

func dial(b *testing.B, address string) (all connections) {
	for range callers {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		all = append(all, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)))
	}
	return all
}

// send distributes the requests among the connections and waits for all answers, each of which must
// have status 200.
func (all connections) send(b *testing.B, requests []string) {
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			for n := i; n < len(requests); n += len(all) {
				if err := roundTrip(c, requests[n]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// roundTrip reads as little as possible, since it shares the processors with what it measures.
func roundTrip(c *bufio.ReadWriter, request string) error {
	_, _ = c.WriteString(request)
	if err := c.Flush(); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answer %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if len(line) == 2 {
			break
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer without Content-Length")
	}
	_, err := c.Discard(length)
	return err
}
