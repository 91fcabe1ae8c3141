package main

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// access holds the paths of what the API server serves with, and of the administrator's way in.
type access struct {
	certificate, key, tokens, kubeconfig string
}

// newAccess makes a certificate for 127.0.0.1, a token for the administrator and admin.kubeconfig.
// The serving key also signs the tokens of ServiceAccounts.
func newAccess(dir, address string) (access, error) {
	paths := access{
		certificate: filepath.Join(dir, "apiserver.crt"),
		key:         filepath.Join(dir, "apiserver.key"),
		tokens:      filepath.Join(dir, "tokens.csv"),
		kubeconfig:  filepath.Join(dir, "admin.kubeconfig"),
	}
	chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"})
	if err != nil {
		return paths, err
	}
	_, authority := pem.Decode(chain) // the chain is the server's certificate, then the authority's
	token := rand.Text()
	for path, content := range map[string][]byte{
		paths.certificate: chain,
		paths.key:         key,
		paths.tokens:      fmt.Appendf(nil, "%s,admin,admin,system:masters\n", token),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return paths, err
		}
	}
	config := api.NewConfig()
	config.Clusters["local"] = &api.Cluster{Server: "https://" + address, CertificateAuthorityData: authority}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: token}
	config.Contexts["admin"] = &api.Context{Cluster: "local", AuthInfo: "admin"}
	config.CurrentContext = "admin"
	return paths, clientcmd.WriteToFile(*config, paths.kubeconfig)
}
