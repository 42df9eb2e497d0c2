{{/* A service with the defaults filled in, as YAML: {{ fromYaml (include "teleglas.service" (dict "root" $ "name" NAME)) }}. */}}
{{- define "teleglas.service" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (get .root.Values.services .name))) -}}
{{- end -}}

{{/* Where the brokers are. */}}
{{- define "teleglas.kafkaBootstrap" -}}
{{- if .Values.kafka.bootstrap -}}
{{ .Values.kafka.bootstrap }}
{{- else if .Values.embedded.kafka.enabled -}}
kafka:9092
{{- else -}}
{{ fail "expected kafka.bootstrap, embedded.kafka or strimzi, found none" }}
{{- end -}}
{{- end -}}

{{/* How to reach the log: variables of whoever speaks to it. */}}
{{- define "teleglas.kafkaEnv" -}}
{{- $kafka := .Values.kafka -}}
TELEGLAS_KAFKA__BOOTSTRAP: {{ include "teleglas.kafkaBootstrap" . | quote }}
TELEGLAS_KAFKA__SECURITY_PROTOCOL: {{ $kafka.securityProtocol | quote }}
{{- if $kafka.caSecret }}
TELEGLAS_KAFKA__SSL_CA_FILE: /etc/teleglas/kafka-ca/ca.crt
{{- end }}
{{- if $kafka.clientCertificates }}
TELEGLAS_KAFKA__SSL_CERT_FILE: /etc/teleglas/kafka-user/user.crt
TELEGLAS_KAFKA__SSL_KEY_FILE: /etc/teleglas/kafka-user/user.key
{{- end }}
{{- end -}}

{{/* Settings of a service that are no secrets. */}}
{{- define "teleglas.config" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $targets := dict -}}
{{- range $variable, $other := $service.targets -}}
{{- if (fromYaml (include "teleglas.service" (dict "root" $root "name" $other))).enabled -}}
{{- $_ := set $targets $variable (printf "%s:9090" $other) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "TELEGLAS_SHUTDOWN_GRACE_S" (toString $service.shutdownGraceSeconds) -}}
{{- $kafka := fromYaml (include "teleglas.kafkaEnv" $root) -}}
{{- range $variable, $value := mergeOverwrite $own $kafka $targets (deepCopy $root.Values.env) (deepCopy $service.env) }}
{{ $variable }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Certificates of Kafka: the brokers' authority, and the part's own. */}}
{{- define "teleglas.kafkaMounts" -}}
{{- if .Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /etc/teleglas/kafka-ca, readOnly: true}
{{- end }}
{{- if .Values.kafka.clientCertificates }}
- {name: kafka-user, mountPath: /etc/teleglas/kafka-user, readOnly: true}
{{- end }}
{{- end -}}

{{- define "teleglas.kafkaVolumes" -}}
{{- with .root.Values.kafka.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if .root.Values.kafka.clientCertificates }}
- name: kafka-user
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: user.crt, path: user.crt}, {key: user.key, path: user.key}]
{{- end }}
{{- end -}}
