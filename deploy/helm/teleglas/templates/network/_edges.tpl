{{/* The pods of this release, by name. */}}
{{- define "teleglas.pods" -}}
{{- $root := . -}}
{{- range $name, $_ := .Values.services -}}
{{- if (fromYaml (include "teleglas.service" (dict "root" $root "name" $name))).enabled }}
{{ $name }}: true
{{- end -}}
{{- end -}}
{{- range $name, $server := omit .Values.embedded "storageClass" -}}
{{- if $server.enabled }}
{{ $name }}: true
{{- end -}}
{{- end -}}
{{- $parts := dict
    "migrate" .Values.migrate
    "demo-key" .Values.demoKey
    "smoke" .Values.smoke
    "simulator" .Values.simulator
    "bot-api" .Values.botApi
    "otel-collector" .Values.observability.collector
    "jaeger" .Values.observability.jaeger -}}
{{- range $name, $part := $parts -}}
{{- if $part.enabled }}
{{ $name }}: true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Who is outside of the release: network.outside, with what Strimzi makes. */}}
{{- define "teleglas.outside" -}}
{{- $outside := deepCopy .Values.network.outside -}}
{{- $pods := fromYaml (include "teleglas.pods" .) -}}
{{- range $name := list "kafka" "postgres" "redis" -}}
{{- if not (or (hasKey $pods $name) (hasKey $outside $name) (and (eq $name "kafka") $.Values.strimzi.enabled)) -}}
{{- fail (printf "expected network.outside.%s, as none is a part of this release: who is it that may be called?" $name) -}}
{{- end -}}
{{- end -}}
{{- if .Values.strimzi.enabled -}}
{{- $cluster := .Values.strimzi.cluster -}}
{{- $kafka := dict
    "peers" (list (dict "podSelector" (dict "matchLabels" (dict "strimzi.io/cluster" $cluster "strimzi.io/kind" "Kafka"))))
    "services" (list (printf "./%s-kafka-bootstrap" $cluster) (printf "./%s-kafka-brokers" $cluster)) -}}
{{- $_ := set $outside "kafka" (mergeOverwrite $kafka (deepCopy (default dict $outside.kafka))) -}}
{{- end -}}
{{- toYaml $outside -}}
{{- end -}}

{{/* edges.yaml for this release, as `edges`: one entry for each pair of a `from` and a `to` that are
there, with the port filled in. */}}
{{- define "teleglas.edges" -}}
{{- $root := . -}}
{{- $table := fromYaml (.Files.Get "edges.yaml") -}}
{{- $pods := fromYaml (include "teleglas.pods" .) -}}
{{- $outside := fromYaml (include "teleglas.outside" .) -}}
{{- $notification := fromYaml (include "teleglas.service" (dict "root" . "name" "notification")) -}}
{{- $options := dict
    "" true
    "mesh" .Values.mesh.enabled
    "webhook" (eq (default "" $notification.env.TELEGLAS_TELEGRAM__UPDATES) "webhook") -}}
{{- $found := list -}}
{{- range $edge := $table.edges -}}
{{- $replaced := hasKey $pods (get $edge "unless") -}}
{{- if and (not $replaced) (get $options (get $edge "when")) -}}
{{- range $from := has "every" $edge.from | ternary (keys $pods | sortAlpha) $edge.from -}}
{{- range $to := has "every" $edge.to | ternary (keys $pods | sortAlpha) $edge.to -}}
{{- $there := get $outside $to | default dict -}}
{{- $one := omit (mergeOverwrite (deepCopy $edge) (dict "from" $from "to" $to)) "why" "when" "unless" -}}
{{- if hasKey $edge "hosts" -}}
{{- $_ := set $one "hosts" ($there.hosts | default $edge.hosts) -}}
{{- else -}}
{{- $_ := set $one "target" (get $table.ports $edge.port) -}}
{{- end -}}
{{- $known := and (or (hasKey $pods $from) (hasKey $outside $from)) (or (hasKey $pods $to) (hasKey $outside $to)) -}}
{{- if and $known (or (not (hasKey $one "hosts")) $one.hosts) -}}
{{- $found = append $found $one -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "edges" $found) -}}
{{- end -}}

{{/* One rule of a policy: whom it is about, and which ports. Nobody is no rule. */}}
{{- define "teleglas.rule" -}}
{{- $other := get .edge .side -}}
{{- $peers := list -}}
{{- if hasKey .pods $other -}}
{{- $labels := fromYaml (include "teleglas.selectorLabels" (dict "root" .root "name" $other)) -}}
{{- $peers = list (dict "podSelector" (dict "matchLabels" $labels)) -}}
{{- else -}}
{{- $peers = (get .outside $other).peers | default list -}}
{{- end -}}
{{- $ports := list -}}
{{- if .edge.hosts -}}
{{- range $port := regexFindAll ":[0-9]+" (join " " .edge.hosts) -1 | uniq -}}
{{- $ports = append $ports (dict "protocol" "TCP" "port" (trimPrefix ":" $port | int)) -}}
{{- end -}}
{{- else -}}
{{- $port := dict "protocol" "TCP" "port" (int .edge.target.number) -}}
{{- if .edge.target.last -}}{{- $_ := set $port "endPort" (int .edge.target.last) -}}{{- end -}}
{{- $ports = list $port -}}
{{- if eq .edge.target.protocol "dns" -}}
{{- $ports = append $ports (dict "protocol" "UDP" "port" (int .edge.target.number)) -}}
{{- end -}}
{{- end -}}
{{- if $peers }}
{{- toYaml (list (dict .side $peers "ports" $ports)) }}
{{- end }}
{{- end -}}
