{{/* JSON: what an Ingress or HTTPRoute leads to, as texts of a kind (Exact or Prefix) and a path. */}}
{{- define "asyncapiproxy.exposed" -}}
{{- $exposed := list -}}
{{- if .Values.exposed.everything -}}
{{- $exposed = list "Prefix /" -}}
{{- else -}}
{{- range (include "asyncapiproxy.operations" . | fromYaml).operations -}}
{{- $path := .route | splitList " " | last | trimSuffix "/" -}}
{{- /* Neither knows placeholders: all below what stands before the first one. */ -}}
{{- $before := regexReplaceAll "/[{].*" $path "" -}}
{{- $exposed = append $exposed (printf "%s %s" (ternary "Exact" "Prefix" (eq $path $before)) $before) -}}
{{- end -}}
{{- if .Values.exposed.tasks -}}
{{- $exposed = concat $exposed (list "Prefix /task" "Prefix /tasks") -}}
{{- end -}}
{{- if .Values.exposed.docs -}}
{{- $exposed = concat $exposed (list "Exact /docs" "Exact /openapi.json" "Prefix /swagger") -}}
{{- end -}}
{{- if .Values.exposed.ui -}}
{{- /* The page, and what it asks. */ -}}
{{- $exposed = concat $exposed (list "Prefix /ui" "Exact /whoami" "Exact /ping" "Exact /openapi.json") -}}
{{- $exposed = concat $exposed (list "Prefix /task" "Prefix /tasks" "Exact /tasks:batch" "Prefix /batches") -}}
{{- $exposed = concat $exposed (list "Prefix /queues" "Prefix /operations" "Prefix /limits") -}}
{{- end -}}
{{- end -}}
{{- $exposed | uniq | sortAlpha | toJson -}}
{{- end -}}
