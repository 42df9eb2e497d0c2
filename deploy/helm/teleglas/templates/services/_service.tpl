{{/* A service with the defaults filled in, as YAML: {{ fromYaml (include "teleglas.service" (dict "root" $ "name" NAME)) }}. */}}
{{- define "teleglas.service" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (get .root.Values.services .name))) -}}
{{- end -}}

{{/* Where the brokers are and how they are spoken to: as the values say, else the embedded broker, else
the listener of Strimzi's cluster with a certificate a service. */}}
{{- define "teleglas.kafka" -}}
{{- $kafka := deepCopy .Values.kafka -}}
{{- if and (not $kafka.bootstrap) .Values.embedded.kafka.enabled -}}
{{- $_ := set $kafka "bootstrap" "kafka:9092" -}}
{{- else if and (not $kafka.bootstrap) (get .Values.strimzi "enabled") -}}
{{- $kafka = mergeOverwrite $kafka (dict
    "bootstrap" (printf "%s-kafka-bootstrap:9092" .Values.strimzi.cluster)
    "securityProtocol" "SSL"
    "replicationFactor" (min 3 .Values.strimzi.replicas)
    "caSecret" (printf "%s-cluster-ca-cert" .Values.strimzi.cluster)
    "clientCertificates" true) -}}
{{- end -}}
{{- if not $kafka.bootstrap -}}
{{- fail "expected kafka.bootstrap, embedded.kafka or strimzi, found none" -}}
{{- end -}}
{{- toYaml $kafka -}}
{{- end -}}

{{/* The same as variables of whoever speaks to it. */}}
{{- define "teleglas.kafkaEnv" -}}
{{- $kafka := fromYaml (include "teleglas.kafka" .) -}}
TELEGLAS_KAFKA__BOOTSTRAP: {{ $kafka.bootstrap | quote }}
TELEGLAS_KAFKA__SECURITY_PROTOCOL: {{ $kafka.securityProtocol | quote }}
TELEGLAS_KAFKA__REPLICATION_FACTOR: {{ $kafka.replicationFactor | int | quote }}
{{- if $kafka.caSecret }}
TELEGLAS_KAFKA__SSL_CA_FILE: /etc/teleglas/kafka-ca/ca.crt
{{- end }}
{{- if $kafka.clientCertificates }}
TELEGLAS_KAFKA__SSL_CERT_FILE: /etc/teleglas/kafka-user/user.crt
TELEGLAS_KAFKA__SSL_KEY_FILE: /etc/teleglas/kafka-user/user.key
{{- end }}
{{- end -}}

{{/* Whose X-Forwarded-For the gateway believes: a sidecar hands on what comes in from 127.0.0.6. */}}
{{- define "teleglas.trustedProxies" -}}
{{- $sidecar := .Values.mesh.enabled | ternary (list "127.0.0.6") list -}}
{{- concat (list "127.0.0.1") $sidecar .Values.edge.trustedProxies | join "," -}}
{{- end -}}

{{/* Settings of the service `name` that are no secrets. */}}
{{- define "teleglas.config" -}}
{{- $root := .root -}}
{{- $service := fromYaml (include "teleglas.service" .) -}}
{{- $targets := dict -}}
{{- range $variable, $other := $service.targets -}}
{{- if (fromYaml (include "teleglas.service" (dict "root" $root "name" $other))).enabled -}}
{{- $_ := set $targets $variable (printf "%s:9090" $other) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "TELEGLAS_SHUTDOWN_GRACE_S" (toString $service.shutdownGraceSeconds) -}}
{{- if eq .name "gateway" -}}
{{- $_ := set $own "TELEGLAS_EDGE__TRUSTED_PROXIES" (include "teleglas.trustedProxies" $root) -}}
{{- end -}}
{{- $kafka := fromYaml (include "teleglas.kafkaEnv" $root) -}}
{{- range $variable, $value := mergeOverwrite $own $kafka $targets (deepCopy $root.Values.env) (deepCopy $service.env) }}
{{ $variable }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Certificates of Kafka: the brokers' authority, and the part's own. */}}
{{- define "teleglas.kafkaMounts" -}}
{{- $kafka := fromYaml (include "teleglas.kafka" .) -}}
{{- if $kafka.caSecret }}
- {name: kafka-ca, mountPath: /etc/teleglas/kafka-ca, readOnly: true}
{{- end }}
{{- if $kafka.clientCertificates }}
- {name: kafka-user, mountPath: /etc/teleglas/kafka-user, readOnly: true}
{{- end }}
{{- end -}}

{{- define "teleglas.kafkaVolumes" -}}
{{- $kafka := fromYaml (include "teleglas.kafka" .root) -}}
{{- with $kafka.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if $kafka.clientCertificates }}
- name: kafka-user
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: user.crt, path: user.crt}, {key: user.key, path: user.key}]
{{- end }}
{{- end -}}

{{/* The servers of the release itself begin with it: who needs them waits here instead of failing and
being held back. `image` is of the part. */}}
{{- define "teleglas.await" -}}
{{- $servers := list -}}
{{- if .root.Values.embedded.postgres.enabled }}{{ $servers = append $servers "postgres:5432" }}{{ end -}}
{{- if .root.Values.embedded.kafka.enabled }}{{ $servers = append $servers "kafka:9092" }}{{ end -}}
{{- if $servers }}
- name: await
  image: {{ include "teleglas.image" (dict "root" .root "name" .image) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command:
    - /opt/teleglas/bin/python
    - -c
    - |
      import socket, sys, time
      for server in sys.argv[1:]:
          host, port = server.split(":")
          while True:
              try:
                  socket.create_connection((host, int(port)), 2).close()
                  break
              except OSError:
                  time.sleep(1)
  args: {{ $servers | toJson }}
  securityContext:
    {{- include "teleglas.containerSecurityContext" .root | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
{{- end }}
{{- end -}}
