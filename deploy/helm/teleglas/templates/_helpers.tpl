{{/* Names and labels. A resource of a part is called as the part; one release a namespace. Where a
template needs more than the root it takes (dict "root" $ "name" NAME …). */}}

{{- define "teleglas.chart" -}}
{{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What selects a part's pods: never changes. */}}
{{- define "teleglas.selectorLabels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* What every resource and pod carries. */}}
{{- define "teleglas.labels" -}}
{{ include "teleglas.selectorLabels" . }}
app.kubernetes.io/part-of: teleglas
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ include "teleglas.chart" .root }}
{{- end -}}

{{/* Of a pod: as above without what changes with the chart's version, so that an upgrade of the
chart alone rolls nothing. */}}
{{- define "teleglas.podLabels" -}}
{{ include "teleglas.selectorLabels" . }}
app.kubernetes.io/part-of: teleglas
{{- if .root.Values.mesh.enabled }}
sidecar.istio.io/inject: "true"
{{- end }}
{{- end -}}

{{- define "teleglas.image" -}}
{{- $image := .root.Values.image -}}
{{ with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}/{{ .name }}:{{ .tag | default $image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* Pod Security `restricted`. */}}
{{- define "teleglas.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .user | default 10001 }}
runAsGroup: {{ .user | default 10001 }}
fsGroup: {{ .user | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "teleglas.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What pods of every part have in common. */}}
{{- define "teleglas.podCommon" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .root.Values.shareProcessNamespace }}
shareProcessNamespace: true
{{- end }}
securityContext:
  {{- include "teleglas.podSecurityContext" . | nindent 2 }}
{{- end -}}
