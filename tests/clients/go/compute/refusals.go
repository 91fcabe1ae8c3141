package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"poolkeeper.dev/tests/clients/steps"
)

// Tries of one call unless told otherwise: the first and three more.
const tries = 4

// refusals are the errors that a caller has to tell from each other.
func refusals(ctx context.Context, all *steps.Steps, azure *azure) {
	all.Try("401 without a valid token", func() error {
		factory, err := armcompute.NewClientFactory(azure.subscription, stranger{}, azure.options)
		if err != nil {
			return err
		}
		_, err = factory.NewVirtualMachineScaleSetsClient().Get(ctx, group, set, nil)
		return refused(err, http.StatusUnauthorized, "InvalidAuthenticationToken")
	})
	all.Try("403 in a foreign subscription", func() error {
		foreign := "00000000-9999-9999-9999-999999999999"
		factory, err := armcompute.NewClientFactory(foreign, azure.credential, azure.options)
		if err != nil {
			return err
		}
		_, err = factory.NewVirtualMachineScaleSetsClient().Get(ctx, group, set, nil)
		return refused(err, http.StatusForbidden, "AuthorizationFailed")
	})
	all.Try("404 for an unknown set", func() error {
		_, err := azure.sets.Get(ctx, group, "unknown", nil)
		return refused(err, http.StatusNotFound, "ResourceNotFound")
	})
	all.Try("409 for a conflict", func() error {
		growth := armcompute.VirtualMachineScaleSetUpdate{SKU: capacity(2)}
		if _, err := azure.sets.BeginUpdate(ctx, group, "slow", growth, nil); err != nil {
			return err
		}
		pager := azure.instances.NewListPager(group, "slow", nil)
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		ids := armcompute.VirtualMachineScaleSetVMInstanceRequiredIDs{
			InstanceIDs: []*string{page.Value[0].InstanceID},
		}
		_, err = azure.sets.BeginDeleteInstances(ctx, group, "slow", ids, nil)
		return refused(err, http.StatusConflict, "Conflict")
	})
	all.Try("409 for a quota", func() error {
		growth := armcompute.VirtualMachineScaleSetUpdate{SKU: capacity(2)}
		_, err := azure.sets.BeginUpdate(ctx, group, "full", growth, nil)
		if err == nil {
			return errors.New("expected a refusal, came an operation")
		}
		return errors.Join(
			refused(err, http.StatusConflict, "OperationNotAllowed"),
			steps.Is("words that name quota and limits: "+err.Error(), strings.Contains(err.Error(), "quota") &&
				strings.Contains(err.Error(), "Current Limit:") && strings.Contains(err.Error(), fullLocation)),
		)
	})
	all.Try("an operation that fails", func() error {
		fault := map[string]any{"scaleSet": set, "azure": "allocationFailed"}
		if err := azure.control(ctx, http.MethodPost, "faults", fault); err != nil {
			return err
		}
		growth := armcompute.VirtualMachineScaleSetUpdate{SKU: capacity(6)}
		poller, err := azure.sets.BeginUpdate(ctx, group, set, growth, nil)
		if err != nil {
			return err
		}
		_, failed := poller.PollUntilDone(ctx, nil)
		cleared := azure.control(ctx, http.MethodDelete, "faults", nil)
		return errors.Join(refused(failed, http.StatusOK, "AllocationFailed"), cleared)
	})
	all.Try("429 after its own retries", func() error {
		fault := map[string]any{"scaleSet": set, "azure": "throttle"}
		if err := azure.control(ctx, http.MethodPost, "faults", fault); err != nil {
			return err
		}
		before := azure.clock.throttled
		_, throttled := azure.sets.Get(ctx, group, set, nil)
		cleared := azure.control(ctx, http.MethodDelete, "faults", nil)
		_, after := azure.sets.Get(ctx, group, set, nil)
		return errors.Join(
			refused(throttled, http.StatusTooManyRequests, "OperationNotAllowed"),
			steps.Same("tries", tries, azure.clock.throttled-before),
			cleared, after,
		)
	})
}

// stranger has a token that nobody issued.
type stranger struct{}

func (stranger) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "stranger"}, nil
}
