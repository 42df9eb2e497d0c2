{{/* Of a pod, how its sidecar runs. It ends after the service has, and then at once: the service's own
drain is over by then. */}}
{{- define "teleglas.meshAnnotations" -}}
{{- with .Values.mesh -}}
{{- if .enabled -}}
sidecar.istio.io/nativeSidecar: "true"
{{- range $kind, $names := dict "requests" (dict "cpu" "proxyCPU" "memory" "proxyMemory") "limits" (dict "cpu" "proxyCPULimit" "memory" "proxyMemoryLimit") }}
{{- range $resource, $annotation := $names }}
{{- with get (get $.Values.mesh.resources $kind | default dict) $resource }}
sidecar.istio.io/{{ $annotation }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
proxy.istio.io/config: |
  concurrency: {{ .concurrency }}
  terminationDrainDuration: 1s
{{- end -}}
{{- end -}}
{{- end -}}
