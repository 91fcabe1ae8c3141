package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"poolkeeper.dev/tests/clients/steps"
)

const (
	group = "agents"
	// Of full, the scale set at its quota.
	fullLocation = "northeurope"
	location     = "westeurope"
)

// azure is the simulator as the clients see it.
type azure struct {
	simulator, subscription string
	clock                   *clock
	options                 *arm.ClientOptions
	credential              azcore.TokenCredential
	sets                    *armcompute.VirtualMachineScaleSetsClient
	instances               *armcompute.VirtualMachineScaleSetVMsClient
	machines                *armcompute.VirtualMachinesClient
	usages                  *armcompute.UsageClient
}

func connect() (*azure, error) {
	simulator := steps.Setting("SIMULATOR")
	speed, err := strconv.ParseFloat(steps.Setting("SPEED"), 64)
	if err != nil {
		return nil, err
	}
	a := &azure{simulator: simulator, subscription: steps.Setting("SUBSCRIPTION"), clock: &clock{speed: speed}}
	a.credential = entra{simulator, steps.Setting("TENANT"), steps.Setting("CLIENT_ID"), steps.Setting("CLIENT_SECRET")}
	a.options = &arm.ClientOptions{ClientOptions: policy.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: simulator,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: simulator, Audience: "https://management.azure.com"},
			},
		},
		InsecureAllowCredentialWithHTTP: true,
		PerRetryPolicies:                []policy.Policy{a.clock},
	}}
	factory, err := armcompute.NewClientFactory(a.subscription, a.credential, a.options)
	if err != nil {
		return nil, err
	}
	a.sets = factory.NewVirtualMachineScaleSetsClient()
	a.instances = factory.NewVirtualMachineScaleSetVMsClient()
	a.machines = factory.NewVirtualMachinesClient()
	a.usages = factory.NewUsageClient()
	return a, nil
}

// entra takes tokens from the simulator; Microsoft's own identity library insists on https.
type entra struct{ simulator, tenant, client, secret string }

func (e entra) GetToken(ctx context.Context, wanted policy.TokenRequestOptions) (azcore.AccessToken, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e.client}, "client_secret": {e.secret},
		"scope": {strings.Join(wanted.Scopes, " ")},
	}
	address := e.simulator + "/" + e.tenant + "/oauth2/v2.0/token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token    string `json:"access_token"`
		Lifetime int    `json:"expires_in"`
	}
	if err := do(request, &answer); err != nil {
		return azcore.AccessToken{}, err
	}
	ends := time.Now().Add(time.Duration(answer.Lifetime) * time.Second)
	return azcore.AccessToken{Token: answer.Token, ExpiresOn: ends}, nil
}

// clock translates Retry-After, which the simulator gives in seconds of its own faster clock.
type clock struct {
	speed float64
	// Answers 429 so far.
	throttled int
}

func (c *clock) Do(request *policy.Request) (*http.Response, error) {
	response, err := request.Next()
	if err != nil {
		return response, err
	}
	if response.StatusCode == http.StatusTooManyRequests {
		c.throttled++
	}
	if seconds, err := strconv.ParseFloat(response.Header.Get("Retry-After"), 64); err == nil {
		response.Header.Set("Retry-After-Ms", strconv.Itoa(max(1, int(seconds*1000/c.speed))))
	}
	return response, nil
}

// control calls the simulator's control API.
func (a *azure) control(ctx context.Context, method, path string, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, a.simulator+"/_sim/"+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	return do(request, nil)
}

func do(request *http.Request, into any) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s answers %s", request.Method, request.URL, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// pages reads all pages of a list, and counts them.
func pages[P, T any](ctx context.Context, pager *runtime.Pager[P], items func(P) []T) (all []T, count int, err error) {
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, count, err
		}
		count++
		all = append(all, items(page)...)
	}
	return all, count, nil
}

// refused is nil if the error is the typed one with this status and code.
func refused(err error, status int, code string) error {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		return fmt.Errorf("expected a ResponseError %d %s, came %v", status, code, err)
	}
	return errors.Join(steps.Same("status", status, response.StatusCode), steps.Same("code", code, response.ErrorCode))
}
