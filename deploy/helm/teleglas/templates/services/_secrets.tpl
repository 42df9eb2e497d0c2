{{/* What the chart makes itself, once: an upgrade finds it in the Secret `generated`. All templates
of one rendering see the same, as it is kept in the values. */}}
{{- define "teleglas.generated" -}}
{{- if not (hasKey .Values.secrets "made") -}}
{{- $old := (lookup "v1" "Secret" .Release.Namespace "generated").data | default dict -}}
{{- $new := dict
    "postgres-password" (randAlphaNum 32)
    "redis-password" (randAlphaNum 32)
    "principal-secret" (randAlphaNum 48)
    "webhook-secret" (randAlphaNum 48)
    "bot-token" (printf "%s:%s" (randNumeric 9 | printf "1%s") (randAlphaNum 35))
    "demo-key" (printf "tg_%s_%s" (randAlphaNum 8) (randAlphaNum 40)) -}}
{{- range $key, $value := $old -}}{{- $_ := set $new $key (b64dec $value) -}}{{- end -}}
{{- $_ := set .Values.secrets "made" $new -}}
{{- end -}}
{{- toYaml .Values.secrets.made -}}
{{- end -}}

{{/* Values of variables that are secrets, for whoever needs `.secrets`. */}}
{{- define "teleglas.secretData" -}}
{{- $root := .root -}}
{{- $made := fromYaml (include "teleglas.generated" $root) -}}
{{- $known := dict
    "TELEGLAS_PRINCIPAL_SECRET" (get $made "principal-secret")
    "TELEGLAS_WEBHOOK__SECRET" (get $made "webhook-secret") -}}
{{- if $root.Values.embedded.postgres.enabled -}}
{{- $_ := set $known "TELEGLAS_POSTGRES__DSN" (printf "postgresql://teleglas:%s@postgres:5432/teleglas" (get $made "postgres-password")) -}}
{{- end -}}
{{- if $root.Values.embedded.redis.enabled -}}
{{- $_ := set $known "TELEGLAS_REDIS__URL" (printf "redis://:%s@redis:6379/0" (get $made "redis-password")) -}}
{{- end -}}
{{- if $root.Values.botApi.enabled -}}
{{- $_ := set $known "TELEGLAS_TELEGRAM__TOKEN" (get $made "bot-token") -}}
{{- end -}}
{{- $known = mergeOverwrite $known (deepCopy $root.Values.secrets.provided) -}}
{{- range $variable := .secrets }}
{{- if hasKey $known $variable }}
{{ $variable }}: {{ get $known $variable | quote }}
{{- else if ne $variable "TELEGLAS_TELEGRAM__TOKEN" }}
{{- fail (printf "expected secrets.provided.%s, found none: give it, or use secrets.mode existing or external" $variable) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The body of an ExternalSecret that writes NAME-secrets. */}}
{{- define "teleglas.externalSecret" -}}
{{- $store := .root.Values.secrets.external -}}
refreshInterval: {{ $store.refreshInterval }}
secretStoreRef:
  kind: {{ $store.storeKind }}
  name: {{ required "expected secrets.external.storeName" $store.storeName }}
target:
  name: {{ .name }}-secrets
data:
  {{- range .secrets }}
  - secretKey: {{ . }}
    remoteRef: {key: {{ printf "%s/%s" $store.prefix $.name }}, property: {{ . }}}
  {{- end }}
{{- end -}}
