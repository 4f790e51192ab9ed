// SPDX-License-Identifier: MIT

// Command client is a grpc-go client with grpc-go's defaults, which the
// scenario tests point at a kamacached. It makes the calls of one mode, counts
// how they ended and how often its connections were lost, and prints one line
// of JSON:
//
//	client sequential ADDRESS KEY CALLS          one caller, one connection
//	client parallel ADDRESS KEY CALLS CALLERS    one connection, many callers
//	client deadlines ADDRESS GROUP RATE SECONDS MS   calls that run out of time
//	client uploads ADDRESS CONNECTIONS CALLS BYTES   Sets all at once
//	client gzip ADDRESS KEY VALUE                a compressed Set, then a Get
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const service = "/kama.v1.KamaCacheService/"

// rawCodec sends and receives messages as the bytes they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// request encodes GetRequest{group, key} or, with a value, a SetRequest.
func request(group, key string, value []byte) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, group)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, key)
	if value != nil {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, value)
	}
	return b
}

// tally counts how calls ended and what became of the connections.
type tally struct {
	mu     sync.Mutex
	Codes  map[string]int `json:"codes"`
	Texts  map[string]int `json:"texts"`
	Opened atomic.Int64   `json:"-"`
	Lost   atomic.Int64   `json:"-"`
}

func newTally() *tally {
	return &tally{Codes: map[string]int{}, Texts: map[string]int{}}
}

func (t *tally) count(err error) {
	s := status.Convert(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Codes[s.Code().String()]++
	if err != nil && len(t.Texts) < 8 {
		t.Texts[s.Message()]++
	}
}

func (t *tally) TagRPC(c context.Context, _ *stats.RPCTagInfo) context.Context {
	return c
}
func (t *tally) HandleRPC(context.Context, stats.RPCStats) {}
func (t *tally) TagConn(c context.Context, _ *stats.ConnTagInfo) context.Context {
	return c
}
func (t *tally) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		t.Opened.Add(1)
	case *stats.ConnEnd:
		t.Lost.Add(1)
	}
}

// print ends the count; connections that are closed later are not lost ones.
func (t *tally) print(extra map[string]any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]any{"codes": t.Codes, "texts": t.Texts,
		"opened": t.Opened.Load(), "lost": t.Lost.Load()}
	for name, value := range extra {
		out[name] = value
	}
	line, err := json.Marshal(out)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func connect(address string, t *tally) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(t))
	check(err)
	return conn
}

func call(ctx context.Context, conn *grpc.ClientConn, method string,
	in []byte, options ...grpc.CallOption) ([]byte, error) {
	var out []byte
	err := conn.Invoke(ctx, service+method, &in, &out, options...)
	return out, err
}

// callers makes calls Gets of key from n goroutines over one connection.
func callers(address, key string, calls, n int) {
	t := newTally()
	conn := connect(address, t)
	var left atomic.Int64
	left.Store(int64(calls))
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 {
				_, err := call(context.Background(), conn, "Get", request("", key, nil))
				t.count(err)
			}
		}()
	}
	group.Wait()
	t.print(nil)
}

// deadlines starts rate Gets a second, each of its own key and with a deadline
// of ms.
func deadlines(address, groupName string, rate, seconds, ms int) {
	t := newTally()
	conn := connect(address, t)
	var group sync.WaitGroup
	start := time.Now()
	for i := 0; i < rate*seconds; i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		group.Add(1)
		go func(i int) {
			defer group.Done()
			ctx, cancel := context.WithTimeout(context.Background(),
				time.Duration(ms)*time.Millisecond)
			defer cancel()
			_, err := call(ctx, conn, "Get", request(groupName, strconv.Itoa(i), nil))
			t.count(err)
		}(i)
	}
	group.Wait()
	t.print(nil)
}

// uploads sends calls Sets of size bytes over every connection, all at once
// and without a deadline.
func uploads(address string, connections, calls, size int) {
	t := newTally()
	value := make([]byte, size)
	var group sync.WaitGroup
	for c := 0; c < connections; c++ {
		conn := connect(address, t)
		for i := 0; i < calls; i++ {
			group.Add(1)
			go func(i int) {
				defer group.Done()
				_, err := call(context.Background(), conn, "Set",
					request("", "upload"+strconv.Itoa(i), value))
				t.count(err)
			}(i)
		}
	}
	group.Wait()
	t.print(nil)
}

// compressed stores a value with a gzip request and reads it back with one.
func compressed(address, key, value string) {
	t := newTally()
	conn := connect(address, t)
	compress := grpc.UseCompressor(gzip.Name)
	_, err := call(context.Background(), conn, "Set",
		request("", key, []byte(value)), compress)
	t.count(err)
	out, err := call(context.Background(), conn, "Get", request("", key, nil), compress)
	t.count(err)
	_, _, n := protowire.ConsumeTag(out)
	got, _ := protowire.ConsumeBytes(out[max(n, 0):])
	t.print(map[string]any{"value": string(got)})
}

func main() {
	encoding.RegisterCodec(rawCodec{})
	a := os.Args[1:]
	if len(a) < 2 {
		check(fmt.Errorf("which mode, and which address?"))
	}
	mode, address, a := a[0], a[1], a[2:]
	switch {
	case mode == "sequential" && len(a) == 2:
		callers(address, a[0], number(a[1]), 1)
	case mode == "parallel" && len(a) == 3:
		callers(address, a[0], number(a[1]), number(a[2]))
	case mode == "deadlines" && len(a) == 4:
		deadlines(address, a[0], number(a[1]), number(a[2]), number(a[3]))
	case mode == "uploads" && len(a) == 3:
		uploads(address, number(a[0]), number(a[1]), number(a[2]))
	case mode == "gzip" && len(a) == 2:
		compressed(address, a[0], a[1])
	default:
		check(fmt.Errorf("mode %q takes other arguments", mode))
	}
}
