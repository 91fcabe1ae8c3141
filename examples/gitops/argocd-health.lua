-- How Argo CD judges poolkeeper's objects, which it otherwise takes for healthy as soon as they exist. Flux and Helm
-- need nothing: they read the same conditions by themselves.
--
-- Give this text to argocd-cm three times, under the keys
--   resource.customizations.health.poolkeeper.dev_AgentPool
--   resource.customizations.health.poolkeeper.dev_StandbySchedule
--   resource.customizations.health.poolkeeper.dev_ScaleSetBinding

local waiting = { status = "Progressing", message = "waiting for poolkeeper" }

if obj.status == nil or obj.status.conditions == nil then
  return waiting
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  -- What was said of an older spec says nothing of this one.
  if condition.observedGeneration == nil or condition.observedGeneration == obj.metadata.generation then
    found[condition.type] = condition
  end
end

local stalled, reconciling, ready = found.Stalled, found.Reconciling, found.Ready
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if reconciling ~= nil and reconciling.status == "True" then
  return { status = "Progressing", message = reconciling.reason .. ": " .. reconciling.message }
end
if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return waiting
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = ready.reason .. ": " .. ready.message }
