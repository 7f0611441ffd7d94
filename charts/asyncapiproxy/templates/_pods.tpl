{{/* What all pods say of themselves; `part` are the service's values. */}}
{{- define "asyncapiproxy.podSpec" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The number of a Deployment's pods, or nothing where it is scaled: `fixed` says which. A number that
was given and no longer is becomes 1 at once, so whoever switches scaling on keeps what there is.
*/}}
{{- define "asyncapiproxy.replicas" -}}
{{- if .fixed -}}
{{- int .replicas -}}
{{- else -}}
{{- $live := lookup "apps/v1" "Deployment" .root.Release.Namespace .name -}}
{{- if dig "metadata" "annotations" "asyncapiproxy.dev/replicas" "" $live -}}
{{- int $live.spec.replicas -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "asyncapiproxy.replicasAnnotation" -}}
annotations:
  # So that the next upgrade knows.
  asyncapiproxy.dev/replicas: given
{{- end -}}

{{- define "asyncapiproxy.podAnnotations" -}}
{{- if eq .component "operator" }}
{{- /* Proxies and executors take a changed file over as they run. */}}
checksum/operations: {{ include "asyncapiproxy.operations" .root | sha256sum }}
{{- end }}
{{- /* Only what the values say: what was generated once stays. */}}
checksum/credentials: {{ list .root.Values.database .root.Values.broker .root.Values.sealingKeys .root.Values.callbacks.keys .root.Values.postgresql.password .root.Values.rabbitmq.password | toJson | sha256sum }}
{{- with .part.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "asyncapiproxy.containerSecurity" -}}
{{- with .Values.containerSecurityContext -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "asyncapiproxy.volumes" -}}
- name: operations
  projected:
    sources:
      - configMap:
          name: {{ include "asyncapiproxy.fullname" .root }}-operations
      {{- if eq .component "proxy" }}
      {{- with include "asyncapiproxy.accessSecret" .root }}
      - secret:
          name: {{ . | quote }}
      {{- end }}
      {{- with .root.Values.access.serviceAccountTokens }}
      {{- if .enabled }}
      # To be shown to the API server, which tells its keys only to who is known to it.
      - serviceAccountToken: {path: kubernetes/token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: kubernetes/ca.crt}]
      {{- end }}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir: {}
{{- with .part.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "asyncapiproxy.volumeMounts" -}}
- name: operations
  mountPath: /etc/asyncapiproxy
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- with .part.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A variable's value. Only a text is as it was given; a number would else lose its digits. */}}
{{- define "asyncapiproxy.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . | quote -}}
{{- else -}}
{{- ternary . (toJson .) (kindIs "string" .) | quote -}}
{{- end -}}
{{- end -}}

{{- define "asyncapiproxy.secretKey" -}}
{{- /* of `source`: its own Secret, or the one that this chart makes */ -}}
valueFrom:
  secretKeyRef:
    name: {{ default (include "asyncapiproxy.credentials" .root) .source.existingSecret | quote }}
    key: {{ ternary .source.existingSecretKey .key (ne .source.existingSecret "") | quote }}
{{- end -}}

{{- define "asyncapiproxy.databaseEnv" -}}
- name: ASYNCAPIPROXY_DATABASE_URL
  {{- include "asyncapiproxy.secretKey" (dict "root" . "source" .Values.database "key" "database-url") | nindent 2 }}
{{- end -}}

{{/* The migration's: by the owner of the tables, if that is another than the services' user. */}}
{{- define "asyncapiproxy.migrationEnv" -}}
{{- $owner := .Values.migrations.database -}}
{{- if or $owner.existingSecret .Values.postgresql.enabled -}}
- name: ASYNCAPIPROXY_DATABASE_URL
  {{- include "asyncapiproxy.secretKey" (dict "root" . "source" $owner "key" "migration-database-url") | nindent 2 }}
- name: ASYNCAPIPROXY_SERVICE_DATABASE_URL
  {{- include "asyncapiproxy.secretKey" (dict "root" . "source" .Values.database "key" "database-url") | nindent 2 }}
{{- else -}}
{{- include "asyncapiproxy.databaseEnv" . -}}
{{- end -}}
{{- end -}}

{{/* The environment of a service: `part` are its values, `more` settings that the chart decides. */}}
{{- define "asyncapiproxy.env" -}}
{{- include "asyncapiproxy.databaseEnv" .root }}
- name: ASYNCAPIPROXY_BROKER_URL
  {{- include "asyncapiproxy.secretKey" (dict "root" .root "source" .root.Values.broker "key" "broker-url") | nindent 2 }}
{{- if ne .component "operator" }}
- name: ASYNCAPIPROXY_BLOBS
  value: {{ .root.Values.blobs.url | quote }}
- name: ASYNCAPIPROXY_SEALING_KEYS
  {{- include "asyncapiproxy.secretKey" (dict "root" .root "source" .root.Values.sealingKeys "key" "sealing-keys") | nindent 2 }}
{{- end }}
{{- if .root.Values.callbacks.allow }}
- name: ASYNCAPIPROXY_CALLBACK_ALLOW
  value: {{ include "asyncapiproxy.text" .root.Values.callbacks.allow }}
{{- /* Whoever signs has the keys, and whoever says by which public ones that is verified. */}}
{{- if or (eq .component "proxy") (eq (default "" .queue) "callbacks") }}
- name: ASYNCAPIPROXY_CALLBACK_KEYS
  {{- include "asyncapiproxy.secretKey" (dict "root" .root "source" .root.Values.callbacks "key" "callback-keys") | nindent 2 }}
{{- end }}
{{- if eq (default "" .queue) "callbacks" }}
- name: ASYNCAPIPROXY_CALLBACK_NETWORKS
  value: {{ include "asyncapiproxy.text" .root.Values.callbacks.networks }}
{{- with .root.Values.publicUrl }}
- name: ASYNCAPIPROXY_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq .component "proxy") (include "asyncapiproxy.accessSecret" .root) }}
- name: ASYNCAPIPROXY_ACCESS_FILE
  value: /etc/asyncapiproxy/access.yaml
{{- end }}
- name: ASYNCAPIPROXY_OPERATIONS_FILE
  value: /etc/asyncapiproxy/operations.yaml
- name: ASYNCAPIPROXY_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- with .root.Values.otel.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ $.root.Release.Namespace }},k8s.pod.name=$(ASYNCAPIPROXY_POD_NAME)
{{- if not (kindIs "invalid" $.root.Values.otel.share) }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ include "asyncapiproxy.text" $.root.Values.otel.share }}
{{- end }}
{{- end }}
{{- range $name, $value := mergeOverwrite (dict "logFormat" "json" "brokerPrefix" (include "asyncapiproxy.brokerPrefix" .root)) (deepCopy .root.Values.settings) (deepCopy .part.settings) .more }}
- name: ASYNCAPIPROXY_{{ $name | snakecase | upper }}
  value: {{ include "asyncapiproxy.text" $value }}
{{- end }}
{{- range $name, $value := .part.env }}
- name: {{ $name | quote }}
  value: {{ include "asyncapiproxy.text" $value }}
{{- end }}
{{- with .part.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The Secrets and ConfigMaps that a service's environment is made of. */}}
{{- define "asyncapiproxy.envFrom" -}}
{{- $from := .part.extraEnvFrom }}
{{- with .root.Values.blobs.existingSecret }}
{{- $from = prepend $from (dict "secretRef" (dict "name" .)) }}
{{- end }}
{{- with $from }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "asyncapiproxy.initContainers" -}}
{{- if .Values.migrations.enabled -}}
initContainers:
  - name: migrate
    image: {{ include "asyncapiproxy.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
    command: [asyncapiproxy, migrate, --wait, {{ int .Values.migrations.waitSeconds | quote }}]
    env:
      {{- include "asyncapiproxy.migrationEnv" . | nindent 6 }}
    resources:
      {{- toYaml .Values.migrations.resources | nindent 6 }}
    {{- include "asyncapiproxy.containerSecurity" . | nindent 4 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
{{- end -}}
{{- end -}}

{{- define "asyncapiproxy.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}
