// Command load is the server that the benchmarks are measured against: chat streams, paced or as
// fast as they are read, over HTTP/1.1 and HTTP/2.
//
//	load [-cert FILE -key FILE]
//
// It listens on a port of 127.0.0.1 that the system chose and prints its URL. What a stream is like
// stands in the first part of the request's path, so that it fits into any client's base URL:
//
//	/n=100,rate=20,spread=1/v1/chat/completions
//
// n is the number of text chunks, rate how many of them a second (0: as fast as they are read). The
// chunks of paced streams begin spread over the interval by `spread` (0: all at once), and the text
// of each is the time when it was sent, in nanoseconds of CLOCK_MONOTONIC.
//
// SIGTERM ends it; the last line that it prints tells as JSON what it cost, and how late it was.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// spec is what the path asks for.
type spec struct {
	n      int
	rate   float64
	spread float64
}

func parseSpec(text string) (spec, error) {
	s := spec{n: 1}
	for _, field := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(field, "=")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || number < 0 {
			return s, fmt.Errorf("%q is not NAME=NUMBER", field)
		}
		switch name {
		case "n":
			s.n = int(number)
		case "rate":
			s.rate = number
		case "spread":
			s.spread = number
		default:
			return s, fmt.Errorf("no parameter %q", name)
		}
	}
	return s, nil
}

// server counts what it did.
type server struct {
	clock   clock
	streams atomic.Uint64
	chunks  atomic.Uint64
	late    lateness
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	first, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	wanted, err := parseSpec(first)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := formatOf(path)
	if f == nil {
		http.Error(w, "no stream at /"+path, http.StatusNotFound)
		return
	}
	nth := s.streams.Add(1)
	if wanted.rate > 0 {
		s.paced(w, f, wanted, nth)
	} else {
		s.unpaced(w, r, f, wanted)
	}
}

// paced sends a chunk at a time, each when it is due.
func (s *server) paced(w http.ResponseWriter, f *format, wanted spec, nth uint64) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	interval := time.Duration(float64(time.Second) / wanted.rate)
	due := time.Now().Add(time.Duration(float64(interval) * wanted.spread * share(nth)))
	w.Write(f.head)
	buffer := make([]byte, 0, len(f.before)+len(f.after)+32)
	for range wanted.n {
		if wait := time.Until(due); wait > 0 {
			if flusher.Flush() != nil {
				return
			}
			time.Sleep(wait)
		}
		s.late.add(time.Since(due))
		buffer = append(buffer[:0], f.before...)
		buffer = strconv.AppendInt(buffer, s.clock.now(), 10)
		buffer = append(buffer, f.after...)
		if _, err := w.Write(buffer); err != nil {
			return
		}
		s.chunks.Add(1)
		due = due.Add(interval)
	}
	w.Write(f.tail)
}

// share spreads successive numbers evenly over [0, 1): multiples of the golden ratio.
func share(nth uint64) float64 {
	return float64(nth*0x9E3779B97F4A7C15>>11) / (1 << 53)
}

// unpaced sends bytes made beforehand, many chunks a write. HTTP/1.1 gets each in an HTTP chunk of
// its own, as servers that flush after every event send it; Go's own writer would need a system call
// for each, and be slower than the clients that are measured.
func (s *server) unpaced(w http.ResponseWriter, r *http.Request, f *format, wanted spec) {
	if r.ProtoMajor > 1 {
		w.Header().Set("Content-Type", "text/event-stream")
		s.unpacedBody(w, f, wanted.n, func(bytes []byte) []byte { return bytes })
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Print(err)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"+
		"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
	if s.unpacedBody(conn, f, wanted.n, httpChunk) == nil {
		io.WriteString(conn, "0\r\n\r\n")
	}
}

func httpChunk(bytes []byte) []byte {
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(bytes), bytes)
}

const blockChunks = 256

func (s *server) unpacedBody(w io.Writer, f *format, n int, frame func([]byte) []byte) error {
	var block []byte
	var ends [blockChunks + 1]int
	for i := range blockChunks {
		block = append(block, frame(f.chunk(i))...)
		ends[i+1] = len(block)
	}
	if _, err := w.Write(frame(f.head)); err != nil {
		return err
	}
	for left := n; left > 0; left -= blockChunks {
		count := min(left, blockChunks)
		if _, err := w.Write(block[:ends[count]]); err != nil {
			return err
		}
		s.chunks.Add(uint64(count))
	}
	_, err := w.Write(frame(f.tail))
	return err
}

func (s *server) report() {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"cpu_seconds": time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
		"streams":     s.streams.Load(),
		"chunks":      s.chunks.Load(),
		"late_p99_ms": s.late.percentileMs(99),
	})
}

func main() {
	cert := flag.String("cert", "", "certificate, PEM: speak TLS")
	key := flag.String("key", "", "its key, PEM")
	flag.Parse()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &server{clock: newClock()}
	web := &http.Server{
		Handler:   s,
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1 << 20},
		ErrorLog:  log.New(io.Discard, "", 0), // clients that leave in the middle are no news
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		if *cert == "" {
			fmt.Printf("http://%s\n", listener.Addr())
			log.Fatal(web.Serve(listener))
		}
		fmt.Printf("https://%s\n", listener.Addr())
		log.Fatal(web.ServeTLS(listener, *cert, *key))
	}()
	<-stopped.Done()
	s.report()
}
