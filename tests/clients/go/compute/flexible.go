package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"poolkeeper.dev/tests/clients/steps"
)

const (
	flexibleSet = "flexible"
	// Its OS disks are not ephemeral.
	durableSet = "durable"
)

// flexible goes once through the life of a scale set with Flexible orchestration, whose instances are plain VMs.
func flexible(ctx context.Context, all *steps.Steps, azure *azure) {
	all.Try("flexible: get set", func() error {
		got, err := azure.sets.Get(ctx, group, flexibleSet, nil)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("mode", armcompute.OrchestrationModeFlexible, *got.Properties.OrchestrationMode),
			steps.Same("capacity", 3, *got.SKU.Capacity),
		)
	})
	all.Try("flexible: list VMs by filter, in pages", func() error {
		machines, count, err := azure.machinesOf(ctx, flexibleSet)
		if err != nil {
			return err
		}
		checks := []error{steps.Same("VMs", 3, len(machines)), steps.Same("pages", 2, count)}
		for _, machine := range machines {
			checks = append(checks,
				steps.Same("set", azure.id(flexibleSet), *machine.Properties.VirtualMachineScaleSet.ID),
				steps.Same("power", "PowerState/running", power(machine.Properties.InstanceView.Statuses)),
				steps.Is("a VM id", *machine.Properties.VMID != ""),
				steps.Is("a computer name", *machine.Properties.OSProfile.ComputerName != ""),
				steps.Is("a time of creation", !machine.Properties.TimeCreated.IsZero()),
			)
		}
		return errors.Join(checks...)
	})
	all.Try("flexible: get VM and its view", func() error {
		machines, _, err := azure.machinesOf(ctx, flexibleSet)
		if err != nil {
			return err
		}
		first := machines[0]
		got, err := azure.machines.Get(ctx, group, *first.Name, nil)
		if err != nil {
			return err
		}
		view, err := azure.machines.InstanceView(ctx, group, *first.Name, nil)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("VM id", *first.Properties.VMID, *got.Properties.VMID),
			steps.Same("power", "PowerState/running", power(view.Statuses)),
		)
	})
	all.Try("flexible: grow", func() error {
		change := armcompute.VirtualMachineScaleSetUpdate{SKU: capacity(5)}
		poller, err := azure.sets.BeginUpdate(ctx, group, flexibleSet, change, nil)
		if err != nil {
			return err
		}
		grown, err := poller.PollUntilDone(ctx, nil)
		if err != nil {
			return err
		}
		machines, _, err := azure.machinesOf(ctx, flexibleSet)
		return errors.Join(err,
			steps.Same("capacity", 5, *grown.SKU.Capacity),
			steps.Same("VMs", 5, len(machines)),
		)
	})
	all.Try("flexible: reimage VM", func() error {
		machines, _, err := azure.machinesOf(ctx, flexibleSet)
		if err != nil {
			return err
		}
		first := machines[0]
		poller, err := azure.machines.BeginReimage(ctx, group, *first.Name, nil)
		if err != nil {
			return err
		}
		if _, err := poller.PollUntilDone(ctx, nil); err != nil {
			return err
		}
		got, err := azure.machines.Get(ctx, group, *first.Name, nil)
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("VM id", *first.Properties.VMID, *got.Properties.VMID),
			steps.Same("state", "Succeeded", *got.Properties.ProvisioningState),
		)
	})
	all.Try("flexible: no reimage of a durable disk", func() error {
		machines, _, err := azure.machinesOf(ctx, durableSet)
		if err != nil {
			return err
		}
		_, err = azure.machines.BeginReimage(ctx, group, *machines[0].Name, nil)
		return refused(err, http.StatusConflict, "OperationNotAllowed")
	})
	all.Try("flexible: delete VMs at the same time", func() error {
		machines, _, err := azure.machinesOf(ctx, flexibleSet)
		if err != nil {
			return err
		}
		first, err := azure.machines.BeginDelete(ctx, group, *machines[0].Name, nil)
		if err != nil {
			return err
		}
		second, err := azure.machines.BeginDelete(ctx, group, *machines[1].Name, nil)
		if err != nil {
			return err
		}
		_, one := first.PollUntilDone(ctx, nil)
		_, two := second.PollUntilDone(ctx, nil)
		_, gone := azure.machines.Get(ctx, group, *machines[0].Name, nil)
		return errors.Join(one, two, refused(gone, http.StatusNotFound, "ResourceNotFound"), azure.has(ctx, 3))
	})
	all.Try("flexible: delete VMs by name through the set", func() error {
		machines, _, err := azure.machinesOf(ctx, flexibleSet)
		if err != nil {
			return err
		}
		names := armcompute.VirtualMachineScaleSetVMInstanceRequiredIDs{InstanceIDs: []*string{machines[0].Name}}
		poller, err := azure.sets.BeginDeleteInstances(ctx, group, flexibleSet, names, nil)
		if err != nil {
			return err
		}
		_, err = poller.PollUntilDone(ctx, nil)
		return errors.Join(err, azure.has(ctx, 2))
	})
}

func (a *azure) id(set string) string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/%s",
		a.subscription, group, set)
}

// machinesOf reads all VMs of a set with their views, and counts the pages.
func (a *azure) machinesOf(ctx context.Context, set string) ([]*armcompute.VirtualMachine, int, error) {
	pager := a.machines.NewListPager(group, &armcompute.VirtualMachinesClientListOptions{
		Filter: to.Ptr("'virtualMachineScaleSet/id' eq '" + a.id(set) + "'"),
		Expand: to.Ptr(armcompute.ExpandTypeForListVMsInstanceView),
	})
	type response = armcompute.VirtualMachinesClientListResponse
	return pages(ctx, pager, func(page response) []*armcompute.VirtualMachine { return page.Value })
}

// has checks the capacity of the set.
func (a *azure) has(ctx context.Context, count int64) error {
	got, err := a.sets.Get(ctx, group, flexibleSet, nil)
	if err != nil {
		return err
	}
	return steps.Same("capacity", count, *got.SKU.Capacity)
}
