{{/* One of the two programs for traces: they differ in image, configuration and ports. Takes root, name,
values, file, config (where the image looks for it), env and ports. */}}
{{- define "teleglas.telemetry" -}}
{{- $ids := dict "root" .root "name" .name }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels:
    {{- include "teleglas.labels" $ids | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}-config
  labels:
    {{- include "teleglas.labels" $ids | nindent 4 }}
data:
  config.yaml: |
    {{- .root.Files.Get .file | nindent 4 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "teleglas.labels" $ids | nindent 4 }}
spec:
  selector:
    {{- include "teleglas.selectorLabels" $ids | nindent 4 }}
  ports:
    {{- range .ports }}
    - {name: {{ .name }}, port: {{ .port }}, targetPort: {{ .name }}{{ with .protocol }}, appProtocol: {{ . }}{{ end }}}
    {{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "teleglas.labels" $ids | nindent 4 }}
spec:
  # One: spans of a trace must meet for a decision, and Jaeger's store is its memory.
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels:
      {{- include "teleglas.selectorLabels" $ids | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "teleglas.podLabels" $ids | nindent 8 }}
      annotations:
        checksum/config: {{ .root.Files.Get .file | sha256sum }}
    spec:
      serviceAccountName: {{ .name }}
      {{- include "teleglas.podCommon" $ids | nindent 6 }}
      containers:
        - name: {{ .name }}
          image: {{ .values.image }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          {{- with .values.command }}
          command: {{ toJson . }}
          {{- end }}
          args: ["--config=/etc/teleglas/config.yaml"]
          env:
            {{- range $name, $value := .env }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
            - name: GOMEMLIMIT
              valueFrom: {resourceFieldRef: {resource: limits.memory}}
          securityContext:
            {{- include "teleglas.containerSecurityContext" .root | nindent 12 }}
          ports:
            {{- range .ports }}
            - {name: {{ .name }}, containerPort: {{ .port }}}
            {{- end }}
            - {name: health, containerPort: 13133}
          startupProbe: {httpGet: {path: /status, port: health}, periodSeconds: 2, failureThreshold: 60}
          readinessProbe: {httpGet: {path: /status, port: health}, periodSeconds: 5}
          livenessProbe: {httpGet: {path: /status, port: health}, periodSeconds: 10, failureThreshold: 6}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            - {name: config, mountPath: /etc/teleglas, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: config
          configMap: {name: {{ .name }}-config}
        - name: tmp
          emptyDir: {}
{{- end -}}
