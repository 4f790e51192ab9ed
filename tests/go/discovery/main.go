// SPDX-License-Identifier: MIT

// Command discovery is a client as the other implementations of kama.v1 write
// them: it finds the nodes by the keys /services/SERVICE/HOST:PORT in etcd,
// with etcd's own client, and calls them in turn with grpc-go.
//
//	discovery ETCD SERVICE GROUP CALLERS plain|careful
//
// It prints the addresses as a line of JSON whenever they change, and calls
// Set, Get and Delete until its standard input ends. Then it prints one more
// line, which counts how the calls ended. A careful client waits until a node
// is connected, and has grpc-go repeat what was UNAVAILABLE.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const service = "/kama.v1.KamaCacheService/"

const plainConfig = `{"loadBalancingConfig": [{"round_robin": {}}]}`

const carefulConfig = `{"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{"name": [{"service": "kama.v1.KamaCacheService"}],
	"waitForReady": true, "retryPolicy": {"maxAttempts": 5,
	"initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// rawCodec sends and receives messages as the bytes they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "discovery:", err)
		os.Exit(1)
	}
}

// say prints a line of JSON.
func say(what any) {
	line, err := json.Marshal(what)
	check(err)
	fmt.Println(string(line))
}

// nodes follows the keys in etcd and tells the resolver about them.
type nodes struct {
	etcd   *clientv3.Client
	prefix string
	found  map[string]bool
	told   *manual.Resolver
}

func (n *nodes) state() resolver.State {
	addresses := []string{}
	for key := range n.found {
		addresses = append(addresses, strings.TrimPrefix(key, n.prefix))
	}
	sort.Strings(addresses)
	say(map[string]any{"addresses": addresses})
	var state resolver.State
	for _, a := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
	}
	return state
}

// list reads the keys and returns the revision as of which they were read.
func (n *nodes) list() int64 {
	all, err := n.etcd.Get(context.Background(), n.prefix, clientv3.WithPrefix())
	check(err)
	for _, kv := range all.Kvs {
		n.found[string(kv.Key)] = true
	}
	return all.Header.Revision
}

func (n *nodes) follow(revision int64) {
	for answer := range n.etcd.Watch(context.Background(), n.prefix,
		clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
		check(answer.Err())
		for _, event := range answer.Events {
			if event.Type == clientv3.EventTypeDelete {
				delete(n.found, string(event.Kv.Key))
			} else {
				n.found[string(event.Kv.Key)] = true
			}
		}
		n.told.UpdateState(n.state())
	}
}

// tally counts how calls ended: by method and code or kama-status.
type tally struct {
	sync.Mutex
	Ends  map[string]int `json:"ends"`
	Texts map[string]int `json:"texts"`
	Wrong int            `json:"wrong"`
}

func (t *tally) count(method string, err error, trailer metadata.MD) {
	s := status.Convert(err)
	end := s.Code().String()
	if named := trailer.Get("kama-status"); len(named) == 1 {
		end = named[0]
	}
	t.Lock()
	defer t.Unlock()
	t.Ends[method+" "+end]++
	if err != nil && s.Code() != codes.NotFound && len(t.Texts) < 20 {
		t.Texts[method+" "+s.Message()]++
	}
}

type client struct {
	conn  *grpc.ClientConn
	group string
	tally *tally
}

func field(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number,
		protowire.BytesType), value)
}

// call makes one call and counts it; the first field of the answer.
func (c *client) call(method string, key string, value []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	in := field(field(nil, 1, []byte(c.group)), 2, []byte(key))
	if value != nil {
		in = field(in, 3, value)
	}
	var out []byte
	var trailer metadata.MD
	err := c.conn.Invoke(ctx, service+method, &in, &out,
		grpc.ForceCodec(rawCodec{}), grpc.Trailer(&trailer))
	c.tally.count(method, err, trailer)
	if err != nil || method != "Get" {
		return nil, err
	}
	_, _, n := protowire.ConsumeTag(out)
	got, _ := protowire.ConsumeBytes(out[max(n, 0):])
	return got, nil
}

// caller sets, gets and deletes keys of its own until the end.
func (c *client) caller(number int, end <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		default:
		}
		key := fmt.Sprintf("caller-%d-%d", number, i%50)
		value := []byte("value " + strconv.Itoa(i))
		_, set := c.call("Set", key, value)
		got, err := c.call("Get", key, nil)
		if set == nil && err == nil && !bytes.Equal(got, value) {
			c.tally.Lock()
			c.tally.Wrong++
			c.tally.Unlock()
		}
		if i%5 == 0 {
			c.call("Delete", key, nil)
		}
	}
}

func main() {
	if len(os.Args) != 6 {
		check(fmt.Errorf("takes ETCD SERVICE GROUP CALLERS plain|careful"))
	}
	callers, err := strconv.Atoi(os.Args[4])
	check(err)
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]},
		DialTimeout: 5 * time.Second})
	check(err)
	told := manual.NewBuilderWithScheme("nodes")
	n := &nodes{etcd, "/services/" + os.Args[2] + "/", map[string]bool{}, told}
	revision := n.list()
	told.InitialState(n.state())
	config := plainConfig
	if os.Args[5] == "careful" {
		config = carefulConfig
	}
	conn, err := grpc.NewClient("nodes:///"+os.Args[2], grpc.WithResolvers(told),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(config))
	check(err)
	conn.Connect()
	go n.follow(revision)
	c := &client{conn, os.Args[3], &tally{Ends: map[string]int{}, Texts: map[string]int{}}}
	end := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < callers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c.caller(i, end)
		}()
	}
	io.Copy(io.Discard, os.Stdin)
	close(end)
	group.Wait()
	say(c.tally)
}
