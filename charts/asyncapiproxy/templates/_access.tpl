{{/* The Secret with the access file, or nothing where everyone may do everything. */}}
{{- define "asyncapiproxy.accessSecret" -}}
{{- if .Values.access.existingSecret -}}
{{- .Values.access.existingSecret -}}
{{- else if .Values.access.config -}}
{{- include "asyncapiproxy.fullname" . }}-access
{{- end -}}
{{- end -}}
