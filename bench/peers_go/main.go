// SPDX-License-Identifier: MIT

// A node of groupcache-go v3 for bench/peer.py: its HTTP transport with a client
// that keeps connections, and in front of it a small HTTP server for clients.
//
//	peers_go PEER_PORT FRONT_PORT OTHER_PEER_PORT CACHE_BYTES VALUE_BYTES
//
// GET /get/KEY returns the value, and GET /owns/KEY is 200 if this node owns the
// key. With CACHE_BYTES 0 the node keeps nothing, not even in its hot cache: each
// get of a key that the other node owns asks that node.
package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/groupcache/groupcache-go/v3"
	"github.com/groupcache/groupcache-go/v3/transport"
	"github.com/groupcache/groupcache-go/v3/transport/peer"
)

// connections is at least the number of gets at a time, so that none of them has
// to connect.
const connections = 1024

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func tunedClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     10 * time.Minute,
		DisableCompression:  true,
	}}
}

func main() {
	self := "127.0.0.1:" + os.Args[1]
	front := "127.0.0.1:" + os.Args[2]
	other := "127.0.0.1:" + os.Args[3]
	value := bytes.Repeat([]byte("v"), number(os.Args[5]))
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx := context.Background()
	daemon, err := groupcache.ListenAndServe(ctx, self, groupcache.Options{
		Logger: quiet,
		Transport: transport.NewHttpTransport(transport.HttpTransportOptions{
			Client: tunedClient(), Logger: quiet}),
	})
	if err != nil {
		log.Fatal(err)
	}
	err = daemon.SetPeers(ctx, []peer.Info{{Address: self}, {Address: other}})
	if err != nil {
		log.Fatal(err)
	}
	group, err := daemon.NewGroup("default", int64(number(os.Args[4])),
		groupcache.GetterFunc(func(_ context.Context, _ string,
			dest transport.Sink) error {
			return dest.SetBytes(value, time.Time{})
		}))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/get/", func(w http.ResponseWriter, r *http.Request) {
		var value []byte
		key := r.URL.Path[len("/get/"):]
		err := group.Get(r.Context(), key,
			transport.AllocatingByteSliceSink(&value))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(value)
	})
	mux.HandleFunc("/owns/", func(w http.ResponseWriter, r *http.Request) {
		_, remote := daemon.GetInstance().PickPeer(r.URL.Path[len("/owns/"):])
		if remote {
			http.Error(w, "the other node owns it", http.StatusNotFound)
		}
	})
	log.Fatal(http.ListenAndServe(front, mux))
}
