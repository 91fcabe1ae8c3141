// Tries a simulator with Microsoft's client for Azure DevOps.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/microsoft/azure-devops-go-api/azuredevops/v7"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/elastic"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"

	"poolkeeper.dev/tests/clients/steps"
)

const pool = "linux-build"

func main() {
	ctx, all := context.Background(), steps.Of("go-azure-devops")
	url := steps.Setting("SIMULATOR") + "/" + steps.Setting("ORGANIZATION")
	connection := azuredevops.NewPatConnection(url, steps.Setting("PAT"))
	var client taskagent.Client
	all.Try("connect", func() (err error) {
		client, err = taskagent.NewClient(ctx, connection)
		return err
	})
	var id int
	all.Try("list pools", func() error {
		name := pool
		named, err := client.GetAgentPools(ctx, taskagent.GetAgentPoolsArgs{PoolName: &name})
		if err != nil {
			return err
		}
		every, err := client.GetAgentPools(ctx, taskagent.GetAgentPoolsArgs{})
		if err != nil {
			return err
		}
		id = *(*named)[0].Id
		return errors.Join(
			steps.Same("pools of the name", 1, len(*named)),
			steps.Same("pools", 2, len(*every)),
			steps.Same("name", pool, *(*named)[0].Name),
			steps.Same("agents", 3, *(*named)[0].Size),
			steps.Same("type", taskagent.TaskAgentPoolTypeValues.Automation, *(*named)[0].PoolType),
			steps.Same("hosted", false, *(*named)[0].IsHosted),
			steps.Same("options", taskagent.TaskAgentPoolOptionsValues.None, *(*named)[0].Options),
		)
	})
	all.Try("list elastic pools", func() error {
		pools := elastic.NewClient(ctx, connection)
		all, err := pools.GetElasticPools(ctx, elastic.GetElasticPoolsArgs{})
		if err != nil {
			return err
		}
		found := (*all)[0]
		one, err := pools.GetElasticPool(ctx, elastic.GetElasticPoolArgs{PoolId: found.PoolId})
		if err != nil {
			return err
		}
		pool, err := client.GetAgentPool(ctx, taskagent.GetAgentPoolArgs{PoolId: found.PoolId})
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("elastic pools", 1, len(*all)),
			steps.Same("pool", *found.PoolId, *one.PoolId),
			steps.Same("state", elastic.ElasticPoolStateValues.Online, *one.State),
			steps.Same("options", taskagent.TaskAgentPoolOptionsValues.ElasticPool, *pool.Options),
		)
	})
	var busy taskagent.TaskAgent
	var idle []taskagent.TaskAgent
	all.Try("list agents", func() error {
		yes := true
		agents, err := client.GetAgents(ctx, taskagent.GetAgentsArgs{
			PoolId: &id, IncludeCapabilities: &yes, IncludeAssignedRequest: &yes, IncludeLastCompletedRequest: &yes,
		})
		if err != nil {
			return err
		}
		checks, completed := []error{steps.Same("agents", 3, len(*agents))}, 0
		for _, agent := range *agents {
			checks = append(checks,
				steps.Same("status", taskagent.TaskAgentStatusValues.Online, *agent.Status),
				steps.Same("enabled", true, *agent.Enabled),
				steps.Same("Agent.Name", *agent.Name, (*agent.SystemCapabilities)["Agent.Name"]),
				steps.Is("a version", *agent.Version != ""),
				steps.Is("a time of creation", !agent.CreatedOn.Time.IsZero()),
				steps.Is("a time of status", !agent.StatusChangedOn.Time.IsZero()),
			)
			if agent.LastCompletedRequest != nil {
				completed++
				checks = append(checks, steps.Same("result",
					taskagent.TaskResultValues.Succeeded, *agent.LastCompletedRequest.Result))
			}
			if agent.AssignedRequest == nil {
				idle = append(idle, agent)
				continue
			}
			busy = agent
			checks = append(checks,
				steps.Is("a time of receipt", !agent.AssignedRequest.ReceiveTime.Time.IsZero()),
				steps.Is("a request id", *agent.AssignedRequest.RequestId > 0),
			)
		}
		return errors.Join(append(checks,
			steps.Same("idle agents", 2, len(idle)), steps.Same("agents with a completed request", 1, completed))...)
	})
	all.Try("list agents without includes", func() error {
		agents, err := client.GetAgents(ctx, taskagent.GetAgentsArgs{PoolId: &id, AgentName: busy.Name})
		if err != nil {
			return err
		}
		agent := (*agents)[0]
		return errors.Join(
			steps.Same("agents of the name", 1, len(*agents)),
			steps.Is("no request", agent.AssignedRequest == nil && agent.LastCompletedRequest == nil),
			steps.Is("no capabilities", agent.SystemCapabilities == nil),
		)
	})
	all.Try("disable agent", func() error {
		no := false
		change := taskagent.TaskAgent{Id: idle[0].Id, Name: idle[0].Name, Enabled: &no}
		changed, err := client.UpdateAgent(ctx, taskagent.UpdateAgentArgs{
			Agent: &change, PoolId: &id, AgentId: idle[0].Id,
		})
		if err != nil {
			return err
		}
		read, err := client.GetAgent(ctx, taskagent.GetAgentArgs{PoolId: &id, AgentId: idle[0].Id})
		if err != nil {
			return err
		}
		return errors.Join(
			steps.Same("enabled in the answer", false, *changed.Enabled),
			steps.Same("enabled", false, *read.Enabled),
		)
	})
	all.Try("delete agent", func() error {
		if err := client.DeleteAgent(ctx, taskagent.DeleteAgentArgs{PoolId: &id, AgentId: idle[1].Id}); err != nil {
			return err
		}
		left, err := client.GetAgents(ctx, taskagent.GetAgentsArgs{PoolId: &id})
		if err != nil {
			return err
		}
		return steps.Same("agents", 2, len(*left))
	})
	all.Try("no delete of a running agent", func() error {
		err := client.DeleteAgent(ctx, taskagent.DeleteAgentArgs{PoolId: &id, AgentId: busy.Id})
		return refused(err, 400, "TaskAgentJobStillRunningException")
	})
	all.Try("unknown agent", func() error {
		unknown := 99999
		_, err := client.GetAgent(ctx, taskagent.GetAgentArgs{PoolId: &id, AgentId: &unknown})
		return errors.Join(
			refused(err, 404, "TaskAgentNotFoundException"),
			refused(client.DeleteAgent(ctx, taskagent.DeleteAgentArgs{PoolId: &id, AgentId: &unknown}),
				404, "TaskAgentNotFoundException"),
		)
	})
	all.Try("unknown pool", func() error {
		unknown := 99999
		_, err := client.GetAgents(ctx, taskagent.GetAgentsArgs{PoolId: &unknown})
		return refused(err, 404, "TaskAgentPoolNotFoundException")
	})
	all.Try("wrong token", func() error {
		stranger, err := taskagent.NewClient(ctx, azuredevops.NewPatConnection(url, "wrong"))
		if err != nil {
			return nil
		}
		agents, err := stranger.GetAgents(ctx, taskagent.GetAgentsArgs{PoolId: &id})
		if err == nil {
			return fmt.Errorf("expected an error, came %d agents", len(*agents))
		}
		return nil
	})
	all.Exit()
}

// refused is nil if the error is the service's own with this status and type.
func refused(err error, status int, kind string) error {
	var wrapped azuredevops.WrappedError
	if !errors.As(err, &wrapped) {
		return fmt.Errorf("expected a WrappedError %d %s, came %v", status, kind, err)
	}
	return errors.Join(
		steps.Same("status", status, *wrapped.StatusCode),
		steps.Same("type", kind, *wrapped.TypeKey),
		steps.Is("a message", *wrapped.Message != ""),
	)
}
