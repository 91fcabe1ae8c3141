// control-plane runs etcd and kube-apiserver in one process, on loopback, for tests and the demo.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// Three seconds are usual; a busy machine of two cores has needed twenty.
const readyTimeout = 2 * time.Minute

func main() {
	dir := flag.String("dir", "", "folder for data, certificates and admin.kubeconfig (default: a new one, removed at the end)")
	port := flag.Int("port", 0, "port of the API server on 127.0.0.1 (default: any free one)")
	detached := flag.Bool("detached", false, "stay when stdin closes")
	flag.Parse()
	if err := run(*dir, *port, *detached); err != nil {
		log.Fatalf("control-plane: %v", err)
	}
}

func run(dir string, port int, detached bool) error {
	ctx := genericapiserver.SetupSignalContext()
	if !detached {
		// A parent that was killed cannot send a signal, but its end of the pipe closes.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			genericapiserver.RequestShutdown()
		}()
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "control-plane-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Listening first, and handing the socket over, leaves no moment in which another process takes the port.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	access, err := newAccess(dir, listener.Addr().String())
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	etcd, err := startEtcd(ctx, dir)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()
	go announce(ctx, access)
	return serve(ctx, listener, access, etcd.Config().ListenClientUrls[0].String())
}

// startEtcd listens on Unix sockets inside dir: nobody else on the machine can reach the data.
func startEtcd(ctx context.Context, dir string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.LogLevel = "error"
	cfg.UnsafeNoFsync = true // the data need not outlive the machine
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(dir, "client.sock")}}
	// A single member never dials a peer; what it advertises (by default localhost:2380) is a name, no listener.
	// The peer's listener takes its path from Host; without one it would be an abstract socket, open to everybody.
	cfg.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: filepath.Join(dir, "peer.sock")}}
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-ctx.Done():
		etcd.Close()
		return nil, ctx.Err()
	}
}

func serve(ctx context.Context, listener net.Listener, access access, etcd string) error {
	server := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range server.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse([]string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // an Endpoints object may not hold a loopback address
		"--service-cluster-ip-range=10.96.0.0/24",
		"--authorization-mode=RBAC",
		"--token-auth-file=" + access.tokens,
		"--tls-cert-file=" + access.certificate,
		"--tls-private-key-file=" + access.key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + access.key,
		"--service-account-signing-key-file=" + access.key,
	}); err != nil {
		return err
	}
	server.SecureServing.Listener = listener
	completed, err := server.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("options: %v", errs)
	}
	return app.Run(ctx, completed)
}

// announce prints the one line that a parent waits for, once every part of the API server says that it is ready.
func announce(ctx context.Context, access access) {
	config, err := clientcmd.BuildConfigFromFlags("", access.kubeconfig)
	if err != nil {
		log.Fatalf("control-plane: %v", err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	deadline := time.Now().Add(readyTimeout)
	for ctx.Err() == nil {
		_, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			fmt.Println("ready", access.kubeconfig)
			return
		}
		if time.Now().After(deadline) {
			log.Fatalf("control-plane: not ready after %s: %v", readyTimeout, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
