{{/* The operations file: what the values say of operations and limits, else the demo's. */}}
{{- define "asyncapiproxy.operations" -}}
{{- $operations := include "asyncapiproxy.withoutNulls" .Values.operations | fromJson -}}
{{- if $operations -}}
{{- $file := dict "operations" $operations -}}
{{- with include "asyncapiproxy.withoutNulls" .Values.limits | fromJson -}}
{{- $_ := set $file "limits" . -}}
{{- end -}}
{{- with include "asyncapiproxy.withoutNulls" .Values.callbacks.named | fromJson -}}
{{- $_ := set $file "callbacks" . -}}
{{- end -}}
{{- /* Helm would write an empty file, or blanks in their place. */ -}}
{{- if regexMatch `[\x{7f}-\x{9f}\x{feff}]|[^\\](\\\\)*\\u202[89]` (toJson $file) -}}
{{- fail "\n\noperations, limits: no text in them can have a control character or a Unicode line separator\n" -}}
{{- end -}}
{{- $file | toYaml -}}
{{- else if .Values.demoApi.enabled -}}
{{- .Files.Get "files/demo-operations.yaml" -}}
{{- else -}}
{{- fail "\n\nNothing to serve: give at least one operation in `operations` (docs/add-an-operation.md), or try it with --set demoApi.enabled=true\n" -}}
{{- end -}}
{{- end -}}

{{/* JSON: each queue, and the longest that one of its attempts may take, in whole seconds. */}}
{{- define "asyncapiproxy.queues" -}}
{{- $queues := dict -}}
{{- range $name, $operation := (include "asyncapiproxy.operations" . | fromYaml).operations -}}
{{- $queue := default "default" $operation.queue -}}
{{- $seconds := float64 (default 30 $operation.timeoutSeconds) -}}
{{- with $operation.upstream -}}
{{- if hasKey . "timeoutSeconds" -}}{{- $seconds = float64 .timeoutSeconds -}}{{- end -}}
{{- end -}}
{{- $longest := max (int (ceil $seconds)) (int (default 0 (get $queues $queue))) -}}
{{- $_ := set $queues $queue $longest -}}
{{- end -}}
{{- if .Values.callbacks.allow -}}
{{- /* A try takes so long at most, and a second more to throw the answer away. */ -}}
{{- $_ := set $queues "callbacks" 16 -}}
{{- end -}}
{{- range $queue, $pool := .Values.pools -}}
{{- if not (or (kindIs "invalid" $pool) (hasKey $queues $queue)) -}}
{{- fail (printf "\n\npools.%s: no operation has the queue %q; the queues are: %s\n" $queue $queue (keys $queues | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $queues | toJson -}}
{{- end -}}

{{/* The values of one queue's pool: what `pools` says, over `executor`. A map adds to a map. */}}
{{- define "asyncapiproxy.poolValues" -}}
{{- mergeOverwrite (deepCopy .root.Values.executor) (deepCopy (default dict (get .root.Values.pools .queue))) | toJson -}}
{{- end -}}

{{/* JSON: the values of a map that are there; `null` takes one out. */}}
{{- define "asyncapiproxy.withoutNulls" -}}
{{- $found := dict -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $found $name $value -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}
