{{- define "asyncapiproxy.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- include "asyncapiproxy.short" (dict "name" (default $full .Values.fullnameOverride) "longest" 30) -}}
{{- end -}}

{{/* A pool's name: at most 52 characters, since a pod's adds 11 and is its host name. */}}
{{- define "asyncapiproxy.pool" -}}
{{- $name := printf "%s-executor-%s" (include "asyncapiproxy.fullname" .root) .queue -}}
{{- include "asyncapiproxy.short" (dict "name" $name "longest" 52) -}}
{{- end -}}

{{/* The name, or its beginning with a hash of all of it, so that two long ones stay apart. */}}
{{- define "asyncapiproxy.short" -}}
{{- if gt (len .name) .longest -}}
{{- printf "%s-%s" (.name | trunc (sub .longest 9 | int) | trimSuffix "-") (sha256sum .name | trunc 8) -}}
{{- else -}}
{{- trimSuffix "-" .name -}}
{{- end -}}
{{- end -}}

{{/* Releases may share a broker, and a name where their namespaces differ. */}}
{{- define "asyncapiproxy.brokerPrefix" -}}
{{- default (printf "%s.%s" .Release.Namespace (include "asyncapiproxy.fullname" .)) .Values.settings.brokerPrefix -}}
{{- end -}}

{{- define "asyncapiproxy.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "asyncapiproxy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "asyncapiproxy.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: asyncapiproxy
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "asyncapiproxy.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "asyncapiproxy.credentials" -}}
{{- include "asyncapiproxy.fullname" . }}-credentials
{{- end -}}
