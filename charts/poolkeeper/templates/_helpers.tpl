{{/* The name of every object: the release's, cut so that it fits a label value. */}}
{{- define "poolkeeper.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "poolkeeper.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "poolkeeper.name" .) -}}
{{- end }}

{{- define "poolkeeper.selector" -}}
app.kubernetes.io/name: poolkeeper
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "poolkeeper.labels" -}}
{{ include "poolkeeper.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The operator reads it strictly: an unknown field stops it at its start. */}}
{{- define "poolkeeper.configuration" -}}
{{- pick .Values "azure" "azureDevOps" "ownIdentity" "watchNamespaces" | toYaml -}}
{{- end }}

{{/*
What the operator does in a namespace that it watches. Specs are never written: `patch` on the kinds themselves is for
finalizers and for removing an annotation that was carried out. Secrets are read one by one, by name.
*/}}
{{- define "poolkeeper.rules" -}}
- apiGroups: [poolkeeper.dev]
  resources: [agentpools, standbyschedules, scalesetbindings]
  verbs: [get, list, watch]
- apiGroups: [poolkeeper.dev]
  resources: [agentpools, scalesetbindings]
  verbs: [patch]
- apiGroups: [poolkeeper.dev]
  resources: [agentpools/status, standbyschedules/status, scalesetbindings/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# The journal of each pool, for `poolkeeper diagnostics`, and its history, for automatic standby; no other ConfigMap is touched.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch]
{{- end }}
