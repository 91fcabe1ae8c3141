package main

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"poolkeeper.dev/tests/clients/steps"
)

const set = "linux-d4"

// uniform goes once through the life of a scale set with Uniform orchestration.
func uniform(ctx context.Context, all *steps.Steps, azure *azure) {
	all.Try("get set", func() error {
		got, err := azure.sets.Get(ctx, group, set, nil)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("name", set, *got.Name),
			steps.Same("capacity", 3, *got.SKU.Capacity),
			steps.Same("size", "Standard_D4ds_v5", *got.SKU.Name),
			steps.Same("location", location, *got.Location),
			steps.Same("mode", armcompute.OrchestrationModeUniform, *got.Properties.OrchestrationMode),
			steps.Same("upgrade policy", armcompute.UpgradeModeManual, *got.Properties.UpgradePolicy.Mode),
			steps.Same("overprovision", false, *got.Properties.Overprovision),
			steps.Same("state", "Succeeded", *got.Properties.ProvisioningState),
			steps.Same("tag", "build", *got.Tags["team"]),
			steps.Is("a time of creation", !got.Properties.TimeCreated.IsZero()),
			steps.Is("an etag", *got.Etag != ""),
		)
	})
	all.Try("list instances in pages", func() error {
		instances, count, err := azure.list(ctx)
		if err != nil {
			return err
		}
		checks := []error{steps.Same("instances", 3, len(instances)), steps.Same("pages", 2, count)}
		for _, instance := range instances {
			checks = append(checks,
				steps.Same("name", set+"_"+*instance.InstanceID, *instance.Name),
				steps.Same("power", "PowerState/running", power(instance.Properties.InstanceView.Statuses)),
				steps.Is("a VM id", *instance.Properties.VMID != ""),
				steps.Is("a computer name", *instance.Properties.OSProfile.ComputerName != ""),
				steps.Is("a time of creation", !instance.Properties.TimeCreated.IsZero()),
			)
		}
		return errors.Join(checks...)
	})
	all.Try("get instance", func() error {
		first, err := azure.first(ctx)
		if err != nil {
			return err
		}
		options := &armcompute.VirtualMachineScaleSetVMsClientGetOptions{
			Expand: to.Ptr(armcompute.InstanceViewTypesInstanceView),
		}
		got, err := azure.instances.Get(ctx, group, set, *first.InstanceID, options)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("VM id", *first.Properties.VMID, *got.Properties.VMID),
			steps.Same("power", "PowerState/running", power(got.Properties.InstanceView.Statuses)),
		)
	})
	all.Try("grow", func() error {
		change := armcompute.VirtualMachineScaleSetUpdate{SKU: capacity(5)}
		poller, err := azure.sets.BeginUpdate(ctx, group, set, change, nil)
		if err != nil {
			return err
		}
		grown, err := poller.PollUntilDone(ctx, nil)
		if err != nil {
			return err
		}
		instances, count, err := azure.list(ctx)
		return errors.Join(err,
			steps.Same("capacity", 5, *grown.SKU.Capacity),
			steps.Same("state", "Succeeded", *grown.Properties.ProvisioningState),
			steps.Same("instances", 5, len(instances)),
			steps.Same("pages", 3, count),
		)
	})
	all.Try("tag", func() error {
		got, err := azure.sets.Get(ctx, group, set, nil)
		if err != nil {
			return err
		}
		change := armcompute.VirtualMachineScaleSetUpdate{
			Tags: map[string]*string{"team": to.Ptr("build"), "claimed": to.Ptr("yes")},
		}
		options := &armcompute.VirtualMachineScaleSetsClientBeginUpdateOptions{IfMatch: got.Etag}
		poller, err := azure.sets.BeginUpdate(ctx, group, set, change, options)
		if err != nil {
			return err
		}
		tagged, err := poller.PollUntilDone(ctx, nil)
		if err != nil {
			return err
		}
		_, stale := azure.sets.BeginUpdate(ctx, group, set, change, options)
		return errors.Join(
			steps.Same("tag", "yes", *tagged.Tags["claimed"]),
			steps.Same("tags", 2, len(tagged.Tags)),
			steps.Same("capacity", 5, *tagged.SKU.Capacity),
			refused(stale, 412, "PreconditionFailed"),
		)
	})
	all.Try("reimage", func() error {
		first, err := azure.first(ctx)
		if err != nil {
			return err
		}
		options := &armcompute.VirtualMachineScaleSetsClientBeginReimageOptions{
			VMScaleSetReimageInput: &armcompute.VirtualMachineScaleSetReimageParameters{
				InstanceIDs: []*string{first.InstanceID},
			},
		}
		poller, err := azure.sets.BeginReimage(ctx, group, set, options)
		if err != nil {
			return err
		}
		if _, err := poller.PollUntilDone(ctx, nil); err != nil {
			return err
		}
		got, err := azure.instances.Get(ctx, group, set, *first.InstanceID, nil)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("VM id", *first.Properties.VMID, *got.Properties.VMID),
			steps.Same("state", "Succeeded", *got.Properties.ProvisioningState),
		)
	})
	all.Try("delete instances", func() error {
		instances, _, err := azure.list(ctx)
		if err != nil {
			return err
		}
		ids := armcompute.VirtualMachineScaleSetVMInstanceRequiredIDs{
			InstanceIDs: []*string{instances[0].InstanceID, instances[1].InstanceID},
		}
		poller, err := azure.sets.BeginDeleteInstances(ctx, group, set, ids, nil)
		if err != nil {
			return err
		}
		if _, err := poller.PollUntilDone(ctx, nil); err != nil {
			return err
		}
		left, err := azure.sets.Get(ctx, group, set, nil)
		if err != nil {
			return err
		}
		_, gone := azure.instances.Get(ctx, group, set, *instances[0].InstanceID, nil)
		return errors.Join(
			steps.Same("capacity", 3, *left.SKU.Capacity),
			refused(gone, 404, "ResourceNotFound"),
		)
	})
	all.Try("list usages", func() error {
		pager := azure.usages.NewListPager(fullLocation, nil)
		usages, _, err := pages(ctx, pager, func(page armcompute.UsageClientListResponse) []*armcompute.Usage {
			return page.Value
		})
		if err != nil {
			return err
		}
		checks := []error{steps.Is("a usage", len(usages) > 0)}
		for _, usage := range usages {
			checks = append(checks,
				steps.Is("a name", *usage.Name.Value != "" && *usage.Name.LocalizedValue != ""),
				steps.Is("a limit that holds", int64(*usage.CurrentValue) <= *usage.Limit),
				steps.Same("unit", "Count", *usage.Unit),
			)
		}
		return errors.Join(checks...)
	})
}

// list reads all instances with their views, and counts the pages.
func (a *azure) list(ctx context.Context) ([]*armcompute.VirtualMachineScaleSetVM, int, error) {
	options := &armcompute.VirtualMachineScaleSetVMsClientListOptions{Expand: to.Ptr("instanceView")}
	pager := a.instances.NewListPager(group, set, options)
	type response = armcompute.VirtualMachineScaleSetVMsClientListResponse
	return pages(ctx, pager, func(page response) []*armcompute.VirtualMachineScaleSetVM { return page.Value })
}

func (a *azure) first(ctx context.Context) (*armcompute.VirtualMachineScaleSetVM, error) {
	instances, _, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(instances) == 0 {
		return nil, errors.New("expected an instance, came none")
	}
	return instances[0], nil
}

func capacity(count int64) *armcompute.SKU {
	return &armcompute.SKU{Name: to.Ptr("Standard_D4ds_v5"), Tier: to.Ptr("Standard"), Capacity: to.Ptr(count)}
}

// power is the code of the power state.
func power(statuses []*armcompute.InstanceViewStatus) string {
	for _, status := range statuses {
		if len(*status.Code) > 11 && (*status.Code)[:11] == "PowerState/" {
			return *status.Code
		}
	}
	return "none"
}
