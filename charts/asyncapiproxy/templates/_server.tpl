{{/* The parts that the bundled servers share: one pod, whose data are on a claim of its own. */}}
{{- define "asyncapiproxy.serverSpec" -}}
serviceName: {{ .name }}
replicas: 1
selector:
  matchLabels:
    {{- include "asyncapiproxy.selector" . | nindent 4 }}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ ternary "Retain" "Delete" .part.persistence.keepOnUninstall }}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "asyncapiproxy.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .part.persistence.storageClassName }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ .part.persistence.size | quote }}
{{- end -}}

{{- define "asyncapiproxy.serverPodSpec" -}}
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "asyncapiproxy.serverService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "asyncapiproxy.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "asyncapiproxy.selector" . | nindent 4 }}
{{- end -}}
